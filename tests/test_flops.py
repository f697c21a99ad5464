"""The closed form against torch's own counter on the real modules."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fairseq_budget.flops import encoder_macs, training_flops_per_second, updates_for_budget
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.sizes import SIZES


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seconds", [1, 14])
def test_closed_form_agrees_with_torchs_counter(size, seconds):
    num_samples = seconds * 16000
    with torch.device("meta"):
        encoder = SpeechEncoder(EncoderConfig(size=size)).eval()
        wave = torch.empty(1, num_samples)
    # a CPU counts fused attention as nothing
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        encoder(wave)
    closed = 2 * encoder_macs(EncoderConfig(size=size), num_samples)
    assert closed == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize(
    ("size", "gflops"), [("slim_30", 5.163), ("slim", 7.102), ("base", 15.186), ("large", 39.385)]
)
def test_forward_cost_of_a_second_of_audio_is_the_papers(size, gflops):
    forward = training_flops_per_second(EncoderConfig(size=size), 14.0) / 3
    assert forward / 1e9 == pytest.approx(gflops, rel=2e-4)


def test_twice_the_budget_buys_twice_the_updates():
    config = EncoderConfig(size="tiny")
    few, many = (
        updates_for_budget(config, flops, seconds_per_update=16, sequence_s=4)
        for flops in (1e13, 2e13)
    )
    assert many == pytest.approx(2 * few, abs=1)
