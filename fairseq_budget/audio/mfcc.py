"""Acoustic features of padded batches of waveforms: 39 MFCC (TERA's targets) and log-mel.

The numbers are Kaldi's (kaldi.py). "Efficient training of self-supervised speech foundation models
on a compute budget" predicts two stacked 39-dimensional frames, the same MFCC that cluster
HuBERT's first iteration.

Shape letters: B batch, S samples, T frames at 100 Hz, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_budget.audio.kaldi import (
    NUM_CEPSTRA,
    NUM_MFCC,
    REACH,
    SHIFT,
    Library,
    cepstrum_matrix,
    log_mel,
    mfcc,
    num_mfcc_frames,
    num_slots,
)
from fairseq_budget.frames import FFT_SIZE, MEL_BINS

MIN_STD = 1e-3  # constant features, such as the deltas of one frame, become 0 and not 0/0


class MFCC(nn.Module):
    """13 MFCC with their deltas and delta-deltas: wave (B, S) -> features (B, T, 39) float32.

    Equals ``torchaudio.compliance.kaldi.mfcc(wave, sample_frequency=16000, use_energy=False)``
    followed by ``torchaudio.functional.compute_deltas`` twice. ``num_samples`` (B,) holds the
    valid samples, None means all. Valid frames do not depend on padding or batch, deltas repeat
    each utterance's own last frame, and frames past its end are 0. T is 0 below 400 samples.

    Has no parameters, buffers or gradient and always computes in float32 on the wave's device, so
    casting the surrounding model to half precision or running it under autocast changes nothing.
    """

    num_features = NUM_MFCC

    def forward(self, wave: Tensor, num_samples: Tensor | None = None) -> Tensor:
        return _of_joined(mfcc, wave, num_samples)


class LogMel(nn.Module):
    """Log-mel filterbank energies: wave (B, S) -> features (B, T, ``num_features``) float32.

    Equals ``torchaudio.compliance.kaldi.fbank(wave, num_mel_bins=num_features)``. Padding, short
    waves, precision and the absence of state are those of :class:`MFCC`.
    """

    def __init__(self, num_features: int = MEL_BINS) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, wave: Tensor, num_samples: Tensor | None = None) -> Tensor:
        def of_joined(joined: Tensor, _firsts: Tensor, _frames: Tensor, library: Library) -> Tensor:
            return log_mel(joined, self.num_features, library)

        return _of_joined(of_joined, wave, num_samples)


@torch.no_grad()
def _of_joined(features: Callable[..., Tensor], wave: Tensor, num_samples: Tensor | None) -> Tensor:
    """Features (B, T, F) of a batch whose rows are joined as `kaldi.join` joins waves."""
    batch, samples = wave.shape
    if num_samples is None:
        num_samples = torch.full((batch,), samples, device=wave.device)
    num_frames, slots = num_mfcc_frames(num_samples.to(wave.device)), num_slots(samples)
    rows = nn.functional.pad(wave.float(), (0, slots * SHIFT - samples))
    joined = nn.functional.pad(rows.flatten(), (REACH * SHIFT, FFT_SIZE - SHIFT))
    firsts = REACH + slots * torch.arange(batch, device=wave.device)
    library = _library(wave.device, torch.compiler.is_compiling())
    with torch.autocast(wave.device.type, enabled=False):
        found = features(joined, firsts, num_frames, library)
    found = found[REACH:].reshape(batch, slots, found.shape[1])[:, : num_mfcc_frames(samples)]
    return _zero_padding(found, num_frames)


@cache
def _library(device: torch.device, is_whole: bool = False) -> Library:
    def table(make: Callable[..., Any], *args: int) -> Tensor:
        return torch.from_numpy(make(*args)).to(device)

    def frames(wave: Tensor) -> Tensor:
        return wave.unfold(0, FFT_SIZE, SHIFT)

    # kept in float32 outside the modules, where neither a cast nor state_dict reaches it; what a
    # tracer sees of one is of its graph alone
    kept = table if is_whole else cache(table)
    return Library(frames, torch.fft.rfft, torch.log, torch.concatenate, kept, is_whole)


def spectral_envelope(mfcc: Tensor) -> Tensor:
    """The log-mel spectrum that 13 cepstra leave of 23 bands: (T, 39) -> (T, 23), to look at."""
    return mfcc[:, :NUM_CEPSTRA] @ torch.linalg.pinv(_library(mfcc.device).table(cepstrum_matrix))


def stack_pairs(features: Tensor, num_frames: Tensor | None = None) -> Tensor:
    """Join consecutive frames: (B, T, F) at 100 Hz -> (B, T // 2, 2F) at 50 Hz.

    The paper's alignment with the encoder's frames: an odd last frame is dropped. With
    ``num_frames`` (B,), the valid frames of ``features``, that holds for each utterance: a pair
    that reaches into the padding becomes 0.
    """
    batch, frames, width = features.shape
    pairs = features[:, : frames // 2 * 2].reshape(batch, frames // 2, 2 * width)
    return pairs if num_frames is None else _zero_padding(pairs, num_frames // 2)


def normalize_frames(features: Tensor, num_frames: Tensor | None = None) -> Tensor:
    """Zero mean and unit variance per utterance and feature, over its valid frames (CMVN).

    ``features`` (B, T, F), ``num_frames`` (B,) or None for all T. The variance is the biased one.
    Frames past the end are 0. A constant feature, and so a single frame, becomes 0.
    """
    if num_frames is None:
        batch, frames, _ = features.shape
        num_frames = torch.full((batch,), frames, device=features.device)
    count = num_frames.clamp(min=1)[:, None, None]
    mean = _zero_padding(features, num_frames).sum(dim=1, keepdim=True) / count
    centered = _zero_padding(features - mean, num_frames)
    std = (centered.square().sum(dim=1, keepdim=True) / count).sqrt()
    return centered / std.clamp(min=MIN_STD)


def _zero_padding(features: Tensor, num_frames: Tensor) -> Tensor:
    time = torch.arange(features.shape[1], device=features.device)
    padding = time >= num_frames[:, None]  # (B, T)
    return features.masked_fill(padding[:, :, None], 0)
