"""The planner counts and builds the very models that are trained."""

import pytest
import torch

from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.sizes import SIZES

pytestmark = pytest.mark.fairseq


def models() -> dict:
    from fairseq_budget.models.hubert import BudgetHubertConfig, BudgetHubertModel
    from fairseq_budget.models.tera import BudgetTeraConfig, BudgetTeraModel
    from fairseq_budget.models.wav2vec2 import BudgetWav2Vec2Config, BudgetWav2Vec2Model

    return {
        "tera": lambda **c: BudgetTeraModel(BudgetTeraConfig(seed=1, **c)),
        "hubert": lambda **c: BudgetHubertModel(
            BudgetHubertConfig(seed=1, num_classes=504, **c)
        ),
        "wav2vec2": lambda **c: BudgetWav2Vec2Model(BudgetWav2Vec2Config(seed=1, **c)),
    }  # fmt: skip


def num_parameters(objective: str, **config) -> int:
    with torch.device("meta"):
        model = models()[objective](**config)
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("objective", ["tera", "hubert", "wav2vec2"])
def test_planner_counts_what_is_trained(objective, size):
    expected = count_parameters(size, objective).parameters
    assert num_parameters(objective, size=size) == expected


def test_planner_counts_what_is_trained_with_a_linear_head_and_layer_norms():
    expected = count_parameters("large", "hubert", head="linear", extractor_mode="layer_norm")
    found = num_parameters("hubert", size="large", head="linear", extractor_mode="layer_norm")
    assert found == expected.parameters
