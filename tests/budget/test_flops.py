"""The closed form against torch's own counter on the real modules."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fairseq_budget.budget.flops import (
    batch_training_flops,
    encoder_macs,
    frontend_macs,
    num_segments,
    training_flops_per_second,
    updates_for_budget,
)
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.sizes import SIZES

pytestmark = pytest.mark.slow


def flop_counter() -> FlopCounterMode:
    """torch's, which does not know of products that are added in place."""

    def product(added, a, b, **_):
        return 2 * a[0] * a[1] * b[1]

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: product})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seconds", [1, 14])
def test_closed_form_agrees_with_torchs_counter(size, seconds):
    num_samples = seconds * 16000
    with torch.device("meta"):
        encoder = SpeechEncoder(EncoderConfig(size=size)).eval()
        wave = torch.empty(1, num_samples)
    # a CPU counts fused attention as nothing
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), flop_counter() as counter:
        encoder(wave)
    closed = 2 * encoder_macs(EncoderConfig(size=size), num_samples)
    # the front-end computes the steps of a frame more, and cuts it off
    assert closed == pytest.approx(
        counter.get_total_flops(), rel=0.01 + 1 / num_frames(num_samples)
    )


@pytest.mark.parametrize("size", ["tiny", "slim", "zipformer_tiny"])
@pytest.mark.parametrize("seconds", [1, 14])
def test_closed_form_of_log_mel_agrees_with_torchs_counter(size, seconds):
    num_samples, config = seconds * 16000, EncoderConfig(size=size, frontend="logmel")
    frontend = SpeechEncoder(config).eval().feature_extractor
    with torch.no_grad(), flop_counter() as counter:
        frontend(torch.randn(1, num_samples))
    # which knows no Fourier transform, and sees the frames between joined waves
    closed = 2 * frontend_macs(config.resolved(), num_samples)
    assert closed == pytest.approx(counter.get_total_flops(), rel=2.5 / num_frames(num_samples))


def test_three_times_the_mel_filters_pay_for_the_fourier_transform():
    """Which is 5/2 n log n operations of real samples (Cooley and Tukey, half of the complex)."""
    filters, transform = 2 * 257 * 80, 2.5 * 512 * 9
    assert filters + transform < 3 * filters


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


RATES = {"average": 4, "conv": 4, "cif": 2}


@pytest.mark.parametrize("subsample", RATES)
def test_closed_form_of_shortened_students_agrees_with_torchs_counter(subsample):
    num_samples = 4 * 16000
    config = EncoderConfig(
        size="base", encoder_layers=2, feature_layer_norm=False, mask_embedding=False,
        subsample=subsample, subsample_rate=RATES[subsample],
    )  # fmt: skip
    encoder = SpeechEncoder(config).eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), flop_counter() as counter:
        states = encoder(torch.randn(1, num_samples)).hidden_states
    segments = states[0].shape[1]  # of CIF, as its weights say
    pooling = segments * num_frames(num_samples) * 512 if subsample == "cif" else 0
    closed = 2 * (encoder_macs(config, num_samples, segments) + pooling)
    assert closed == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize(("rate", "segments"), [(1, 49), (2, 25), (4.5, 11), (50, 1)])
def test_the_last_segment_may_be_shorter(rate, segments):
    config = EncoderConfig(subsample="cif", subsample_rate=rate)
    assert num_segments(config, 16000) == segments
    assert num_segments(config, np.array([16000, 16000])).tolist() == [segments] * 2
    assert type(num_segments(config, 16000)) is int


def test_measured_segments_replace_the_rate():
    config = EncoderConfig(subsample="cif", subsample_rate=2)
    lengths = [16000, 32000]
    assert batch_training_flops(config, lengths) == batch_training_flops(config, lengths, [25, 50])
    assert batch_training_flops(config, lengths, [12, 25]) < batch_training_flops(config, lengths)
