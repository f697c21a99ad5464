"""MFCC and log-mel against torchaudio, and the padding rules that torchaudio does not have."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from torch import Tensor

from fairseq_budget.audio.kaldi import num_mfcc_frames
from fairseq_budget.audio.mfcc import (
    MFCC,
    LogMel,
    normalize_frames,
    stack_pairs,
)
from fairseq_budget.frames import num_frames

WAVES = ("noise", "tone", "quiet", "silence", "offset")
TOLERANCE = dict.fromkeys(WAVES, 1e-3)
TOLERANCE["tone"] = 0.02  # far from it only rounding is heard: either side is 0.007 off in doubles


@pytest.fixture(scope="module")
def torchaudio() -> Any:
    if importlib.util.find_spec("torchaudio") is None:
        pytest.skip("torchaudio, the oracle, is not installed")
    from fairseq_budget.upstream.compat import load_torchaudio

    module = load_torchaudio()
    importlib.import_module("torchaudio.compliance.kaldi")
    return module


def make_wave(kind: str, num_samples: int) -> Tensor:
    noise = torch.randn(num_samples, generator=torch.Generator().manual_seed(num_samples))
    time = torch.arange(num_samples) / 16000
    tone = torch.sin(2 * torch.pi * 440 * time)
    return {
        "noise": 0.1 * noise,
        "tone": 0.5 * tone,
        "quiet": 1e-4 * noise,
        "silence": 0 * noise,
        "offset": 0.3 + 0.05 * noise + 0.2 * tone,
    }[kind]


def reference_mfcc(torchaudio: Any, wave: Tensor) -> Tensor:
    kaldi, functional = torchaudio.compliance.kaldi, torchaudio.functional
    cepstra = kaldi.mfcc(wave[None], sample_frequency=16000, use_energy=False).T
    deltas = functional.compute_deltas(cepstra)
    return torch.cat([cepstra, deltas, functional.compute_deltas(deltas)]).T


@pytest.mark.parametrize("kind", WAVES)
@pytest.mark.parametrize("num_samples", [400, 559, 560, 1600, 16001])
def test_mfcc_equal_torchaudio(torchaudio: Any, kind: str, num_samples: int) -> None:
    wave = make_wave(kind, num_samples)
    expected = reference_mfcc(torchaudio, wave)
    torch.testing.assert_close(MFCC()(wave[None])[0], expected, atol=TOLERANCE[kind], rtol=0)


@pytest.mark.parametrize("kind", WAVES)
def test_log_mel_equals_torchaudio(torchaudio: Any, kind: str) -> None:
    wave = make_wave(kind, 16001)
    expected = torchaudio.compliance.kaldi.fbank(wave[None], num_mel_bins=80)
    torch.testing.assert_close(LogMel()(wave[None])[0], expected, atol=TOLERANCE[kind], rtol=0)


@pytest.mark.parametrize("features", [MFCC(), LogMel(40)])
def test_padding_does_not_change_valid_frames_and_padded_frames_are_zero(
    features: MFCC | LogMel,
) -> None:
    lengths = [9000, 399, 400, 1600, 0, 5521]
    batch = torch.full((len(lengths), 9000), 0.7)  # loud padding: it must not leak in
    for row, length in zip(batch, lengths, strict=True):
        row[:length] = make_wave("noise", length)
    together = features(batch, torch.tensor(lengths))
    assert together.shape == (len(lengths), num_mfcc_frames(9000), features.num_features)
    for row, wave, length in zip(together, batch, lengths, strict=True):
        alone = features(wave[None, :length])[0]
        torch.testing.assert_close(row[: len(alone)], alone, atol=1e-4, rtol=0)
        assert not row[len(alone) :].any()


@pytest.mark.parametrize("num_samples", [0, 1, 399])
def test_a_wave_below_one_window_has_no_frames(num_samples: int) -> None:
    assert MFCC()(torch.ones(2, num_samples)).shape == (2, 0, 39)
    assert LogMel()(torch.ones(2, num_samples)).shape == (2, 0, 80)


def test_a_large_batch_equals_its_utterances() -> None:
    waves = torch.stack([make_wave("noise", 30000 + i)[:30000] for i in range(12)])
    alone = torch.cat([MFCC()(wave[None]) for wave in waves])
    torch.testing.assert_close(MFCC()(waves), alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("make", [MFCC, LogMel])
def test_casting_the_model_changes_nothing(make: type[MFCC | LogMel]) -> None:
    wave = make_wave("noise", 4000)[None]
    expected = make()(wave)
    for cast in (torch.nn.Module.half, torch.nn.Module.bfloat16, torch.nn.Module.double):
        module = make()
        cast(torch.nn.Sequential(module))
        actual = module(wave)
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual, expected, atol=0, rtol=0)


def test_there_is_nothing_to_save_or_train() -> None:
    wave = make_wave("noise", 4000)[None].requires_grad_()
    module = MFCC()
    assert not module(wave).requires_grad
    assert not module.state_dict()
    assert not list(module.buffers()) + list(module.parameters())


def test_autocast_changes_nothing() -> None:
    wave = make_wave("noise", 4000)[None]
    expected = MFCC()(wave), LogMel()(wave)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = MFCC()(wave), LogMel()(wave)
    torch.testing.assert_close(actual, expected, atol=0, rtol=0)


def test_stacked_frames_follow_the_encoder_within_one_frame() -> None:
    num_samples = torch.arange(40000)
    missing = num_frames(num_samples) - num_mfcc_frames(num_samples) // 2
    assert set(missing.tolist()) == {0, 1}
    assert num_mfcc_frames(250000) // 2 == 780  # measured on the paper's code, beside 781
    batch = torch.arange(0, 3000, 7)
    assert num_mfcc_frames(batch).tolist() == [num_mfcc_frames(n) for n in range(0, 3000, 7)]


def test_pairs_are_joined_in_time_and_an_odd_frame_is_dropped() -> None:
    features = torch.arange(10.0).view(1, 5, 2)
    expected = torch.tensor([[[0.0, 1, 2, 3], [4, 5, 6, 7]]])
    torch.testing.assert_close(stack_pairs(features), expected)
    assert stack_pairs(features[:, :1]).shape == (1, 0, 4)


def test_a_pair_that_reaches_into_the_padding_is_zero() -> None:
    pairs = stack_pairs(torch.ones(3, 6, 2), torch.tensor([6, 5, 1]))
    assert pairs[:, :, 0].tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]


def test_normalized_frames_have_zero_mean_and_unit_variance_whatever_the_padding() -> None:
    features = 5 + 3 * torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0))
    features[1, 30:] = 1e4
    normalized = normalize_frames(features, torch.tensor([50, 30]))
    for row, length in ((normalized[0], 50), (normalized[1], 30)):
        torch.testing.assert_close(row[:length].mean(0), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(row[:length].var(0, correction=0), torch.ones(4))
        assert not row[length:].any()
    torch.testing.assert_close(normalize_frames(features[:1]), normalized[:1])


def test_constant_features_single_frames_and_empty_utterances_normalize_to_zero() -> None:
    features = torch.full((3, 20, 2), 123.4)
    normalized = normalize_frames(features, torch.tensor([20, 1, 0]))
    torch.testing.assert_close(normalized, torch.zeros(3, 20, 2), atol=0.05, rtol=0)
    assert normalize_frames(features[:, :0]).shape == (3, 0, 2)
