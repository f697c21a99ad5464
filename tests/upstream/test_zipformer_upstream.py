"""Models with a Zipformer, through the upstream's tests: states of one width at 50 Hz."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch

from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.zipformer.layers import Bypass
from fairseq_budget.upstream.hubconf import budget_upstream
from tests.upstream.conftest import save_fresh
from tests.upstream.test_expert import (  # noqa: F401  # collected here, too, on another checkpoint
    extract,
    make_waves,
    s3prl_nn,
    test_an_utterance_is_the_same_alone_and_in_a_batch,
    test_every_duration_up_to_30_s_has_all_its_frames,
    test_gradients_flow_through_every_layer_in_training,
    test_untrained_is_a_function_of_the_seed_and_of_nothing_else,
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = EncoderConfig(size="zipformer_tiny", normalize=True)
    return save_fresh(tmp_path_factory.mktemp("zipformer"), "budget_hubert", config)


@pytest.mark.s3prl
def test_s3prl_finds_the_input_and_a_state_of_every_stack(
    s3prl_nn: ModuleType,  # noqa: F811
    exported: Path,
) -> None:
    model = s3prl_nn.S3PRLUpstream("budget_upstream", path_or_url=str(exported)).eval()
    assert (model.num_layers, model.hidden_sizes) == (7, [96] * 7)
    assert model.downsample_rates == [320] * 7
    with torch.no_grad():
        for one, other in zip(extract(model), extract(model), strict=True):
            assert torch.equal(one, other)


def test_no_layer_is_bypassed_when_s3prl_trains_it(exported: Path) -> None:
    modules = budget_upstream(str(exported)).train().encoder.modules()
    assert {module.skip_prob for module in modules if isinstance(module, Bypass)} == {0.0}
