"""Cluster heads by brute force."""

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.heads import ClusterHead


def head(kind: str, temperature: float = 0.1) -> ClusterHead:
    torch.manual_seed(0)
    return ClusterHead(8, 4, [6], kind=kind, temperature=temperature)


def test_cosine_logits_are_similarities_over_the_temperature():
    module, x = head("cosine"), torch.randn(3, 8)
    [logits] = module(x)
    for n in range(3):
        for v in range(6):
            similarity = torch.cosine_similarity(
                module.final_proj(x[n]), module.label_embs_concat[v], dim=0
            )
            assert logits[n, v].item() == pytest.approx(similarity.item() / 0.1, rel=1e-4)


def test_linear_logits_are_a_layer_over_the_temperature():
    module, x = head("linear", 0.5), torch.randn(3, 8)
    torch.testing.assert_close(module(x)[0], module.final_proj(x) / 0.5)
    assert module.label_embs_concat is None


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_logits_are_in_float32_in_half_precision_models(kind):
    assert head(kind).half()(torch.randn(3, 8).half())[0].dtype is torch.float32


def test_an_unknown_head_is_an_error():
    with pytest.raises(BudgetError, match="head='softmax': expected 'cosine' or 'linear'"):
        head("softmax")
