"""What heads cost, against torch's counter on the real modules."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.budget.objectives import MASK_LENGTH, NUM_NEGATIVES, Heads
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.masking import span_mask
from fairseq_budget.papers.compute_budget import MASK_PROB, PAPER_RUNS
from fairseq_budget.sizes import SIZES

HEADS = [Heads("tera"), Heads("hubert"), Heads("hubert", "linear"), Heads("wav2vec2")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("heads", HEADS, ids=str)
def test_closed_form_of_heads_agrees_with_torchs_counter(size, heads):
    config = EncoderConfig(size=size).resolved()
    with torch.device("meta"):
        modules = heads.build(config)
        hidden = torch.empty(1, config.output_dim)
        features = torch.empty(1, config.conv_dim)
    with FlopCounterMode(display=False) as counter:
        if heads.objective == "wav2vec2":
            modules["project_q"](modules["quantizer"](features).x)
            modules["final_proj"](hidden)
        else:
            modules["head"](hidden)
    macs = counter.get_total_flops() // 2
    if heads.objective == "wav2vec2":
        macs += (1 + NUM_NEGATIVES) * config.final_dim  # similarities
    assert heads.macs(config) == macs


@pytest.mark.parametrize("objective", MASK_PROB)
def test_masked_share_is_that_of_real_masks(objective):
    rng = np.random.default_rng(0)
    masks = [
        span_mask(699, prob=MASK_PROB[objective], length=MASK_LENGTH, min_masks=2, rng=rng)
        for _ in range(200)
    ]
    assert Heads(objective).masked_share == pytest.approx(np.mean(masks), rel=0.02)


@pytest.mark.parametrize("heads", HEADS, ids=str)
def test_heads_of_the_paper_cost_little_beside_the_encoder(heads):
    for size in PAPER_RUNS:
        config = EncoderConfig(size=size)
        encoder = training_flops_per_second(config, 14.0)
        assert heads.training_flops_per_second(config, 14.0) < 0.006 * encoder
