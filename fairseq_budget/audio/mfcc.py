"""Acoustic features of padded batches of waveforms: 39 MFCC (TERA's targets) and log-mel.

The numbers are Kaldi's as ``torchaudio.compliance.kaldi`` computes them: 25 ms Povey windows every
10 ms with whole windows only, the mean of each window removed, pre-emphasis 0.97, a 512-point power
spectrum and triangular mel filters from 20 Hz to 8 kHz; no dither, and the wave is not scaled.
"Efficient training of self-supervised speech foundation models on a compute budget" predicts two
stacked 39-dimensional frames, the same MFCC that cluster HuBERT's first iteration.

Shape letters: B batch, S samples, T frames at 100 Hz, F features.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from fairseq_budget.frames import SAMPLE_RATE

WINDOW = 400  # samples in 25 ms at 16 kHz
SHIFT = 160  # samples in 10 ms
FFT_SIZE = 512
LOW_HZ, HIGH_HZ = 20.0, SAMPLE_RATE / 2
PREEMPHASIS = 0.97
NUM_CEPSTRA, NUM_CEPSTRUM_BINS, LIFTER = 13, 23, 22.0
ENERGY_FLOOR = torch.finfo(torch.float32).eps  # Kaldi's floor under the logarithm
CHUNK_SAMPLES = (
    1 << 18
)  # computed at once: bounds the memory and is twice as fast as one large batch
MIN_STD = 1e-3  # constant features, such as the deltas of one frame, become 0 and not 0/0

Count = TypeVar("Count", int, Tensor)


def num_mfcc_frames(num_samples: Count) -> Count:
    """Number of 100 Hz frames of ``num_samples`` samples, an int or an integer tensor."""
    frames = (num_samples - WINDOW) // SHIFT + 1
    return frames * (frames > 0)


class MFCC(nn.Module):
    """13 MFCC with their deltas and delta-deltas: wave (B, S) -> features (B, T, 39) float32.

    Equals ``torchaudio.compliance.kaldi.mfcc(wave, sample_frequency=16000, use_energy=False)``
    followed by ``torchaudio.functional.compute_deltas`` twice. ``num_samples`` (B,) holds the
    valid samples, None means all. Valid frames do not depend on padding or batch, deltas repeat
    each utterance's own last frame, and frames past its end are 0. T is 0 below 400 samples.

    Has no parameters, buffers or gradient and always computes in float32 on the wave's device, so
    casting the surrounding model to half precision or running it under autocast changes nothing.
    """

    num_features = 3 * NUM_CEPSTRA

    @torch.no_grad()
    def forward(self, wave: Tensor, num_samples: Tensor | None = None) -> Tensor:
        num_frames = _count_frames(wave, num_samples)
        with torch.autocast(wave.device.type, enabled=False):
            cepstra = _log_mel(wave, NUM_CEPSTRUM_BINS) @ _cepstrum_matrix(wave.device)
        deltas = _deltas(cepstra, num_frames)
        features = torch.cat([cepstra, deltas, _deltas(deltas, num_frames)], dim=2)
        return _zero_padding(features, num_frames)


class LogMel(nn.Module):
    """Log-mel filterbank energies: wave (B, S) -> features (B, T, ``num_features``) float32.

    Equals ``torchaudio.compliance.kaldi.fbank(wave, num_mel_bins=num_features)``. Padding, short
    waves, precision and the absence of state are those of :class:`MFCC`.
    """

    def __init__(self, num_features: int = 80) -> None:
        super().__init__()
        self.num_features = num_features

    @torch.no_grad()
    def forward(self, wave: Tensor, num_samples: Tensor | None = None) -> Tensor:
        num_frames = _count_frames(wave, num_samples)
        with torch.autocast(wave.device.type, enabled=False):
            return _zero_padding(_log_mel(wave, self.num_features), num_frames)


def spectral_envelope(mfcc: Tensor) -> Tensor:
    """The log-mel spectrum that 13 cepstra leave of 23 bands: (T, 39) -> (T, 23), to look at."""
    return mfcc[:, :NUM_CEPSTRA] @ torch.linalg.pinv(_cepstrum_matrix(mfcc.device))


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


def _count_frames(wave: Tensor, num_samples: Tensor | None) -> Tensor:
    batch, samples = wave.shape
    if num_samples is None:
        num_samples = torch.full((batch,), samples, device=wave.device)
    return num_mfcc_frames(num_samples.to(wave.device))


def _zero_padding(features: Tensor, num_frames: Tensor) -> Tensor:
    time = torch.arange(features.shape[1], device=features.device)
    padding = time >= num_frames[:, None]  # (B, T)
    return features.masked_fill(padding[:, :, None], 0)


def _log_mel(wave: Tensor, num_bins: int) -> Tensor:
    if wave.numel() == 0 or wave.shape[1] < WINDOW:
        return torch.zeros(len(wave), 0, num_bins, device=wave.device)
    chunks = torch.split(wave.float(), max(1, CHUNK_SAMPLES // wave.shape[1]))
    return torch.cat([_log_mel_of_chunk(chunk, num_bins) for chunk in chunks])


def _log_mel_of_chunk(wave: Tensor, num_bins: int) -> Tensor:
    spectrum = torch.view_as_real(torch.fft.rfft(_windowed_frames(wave)))  # (B, T, 257, 2)
    squares = spectrum.square_()
    power = squares[..., 0] + squares[..., 1]
    energy = torch.matmul(power, _mel_matrix(num_bins, wave.device))
    return energy.clamp(min=ENERGY_FLOOR).log()


def _windowed_frames(wave: Tensor) -> Tensor:
    """(B, T, 512): frames without their mean, pre-emphasised, in the window, zeros behind.

    Each frame is cut with the sample before it; the first of a wave has none, but there the window
    is 0. What can be done in place is: passing through memory takes most of the time.
    """
    views = nn.functional.pad(wave, (1, FFT_SIZE - WINDOW)).unfold(1, 1 + FFT_SIZE, SHIFT)
    mean = views[..., 1 : 1 + WINDOW].mean(dim=2, keepdim=True)
    frames = views[..., 1:] - mean
    frames -= (views[..., :-1] - mean).mul_(PREEMPHASIS)
    return frames.mul_(_povey_window(wave.device))


def _deltas(features: Tensor, num_frames: Tensor) -> Tensor:
    """Slope of the regression line through 5 frames, the first and last frame repeated outside."""
    batch, frames, width = features.shape
    if frames == 0:
        return features
    last = (num_frames - 1).clamp(min=0)
    time = torch.arange(-2, frames + 2, device=features.device)
    time = time.clamp(min=0).minimum(last[:, None])  # (B, T + 4)
    held = features.gather(1, time[:, :, None].expand(batch, frames + 4, width))
    return (2 * (held[:, 4:] - held[:, :-4]) + held[:, 3:-1] - held[:, 1:-3]) / 10


# The constant tables are computed once per device and kept in float32 outside the modules, where
# neither a cast of the model nor its state_dict reaches them.


@cache
def _povey_window(device: torch.device) -> Tensor:
    """(512,), of which 112 are 0. Its rounding is all that a pure tone leaves in far mel bins."""
    hann = torch.hann_window(WINDOW, periodic=False, dtype=torch.float32, device="cpu")
    return nn.functional.pad(hann.pow(0.85), (0, FFT_SIZE - WINDOW)).to(device)


@cache
def _mel_matrix(num_bins: int, device: torch.device) -> Tensor:
    """Triangles of height 1 evenly spaced in mel: (257, num_bins)."""
    hertz = torch.arange(FFT_SIZE // 2 + 1, dtype=torch.float64, device="cpu")
    hertz *= SAMPLE_RATE / FFT_SIZE
    low, high = _mel(torch.tensor([LOW_HZ, HIGH_HZ], dtype=torch.float64, device="cpu")).tolist()
    width = (high - low) / (num_bins + 1)
    centers = low + width * torch.arange(1, num_bins + 1, dtype=torch.float64, device="cpu")
    distance = (_mel(hertz)[:, None] - centers).abs() / width
    return torch.clamp(1 - distance, min=0).to(device, torch.float32)


def _mel(hertz: Tensor) -> Tensor:
    return torch.log1p(hertz / 700) * 1127


@cache
def _cepstrum_matrix(device: torch.device) -> Tensor:
    """Orthonormal cosine transform with Kaldi's lifter on its outputs: (23, 13)."""
    bins = torch.arange(NUM_CEPSTRUM_BINS, dtype=torch.float64, device="cpu")[:, None]
    order = torch.arange(NUM_CEPSTRA, dtype=torch.float64, device="cpu")
    cosine = (math.pi / NUM_CEPSTRUM_BINS * (bins + 0.5) * order).cos()
    cosine *= math.sqrt(2 / NUM_CEPSTRUM_BINS)
    cosine[:, 0] = math.sqrt(1 / NUM_CEPSTRUM_BINS)
    lifter = 1 + LIFTER / 2 * (math.pi * order / LIFTER).sin()
    return (cosine * lifter).to(device, torch.float32)
