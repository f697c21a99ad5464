"""Kaldi's log-mel energies and MFCC with deltas: one formula, computed by numpy or by torch.

The numbers are those of ``torchaudio.compliance.kaldi``: 25 ms Povey windows every 10 ms with whole
windows only, the mean of each window removed, pre-emphasis 0.97, a 512-point power spectrum and
triangular mel filters from 20 Hz to 8 kHz; no dither, and the wave is not scaled.

Waves are joined into one, each from a multiple of SHIFT samples on, so that the frames of all are
one strided view. Frames between two waves are computed, too, and mean nothing; deltas find there
the repeated first and last frame of each wave.

Shape letters: S samples of joined waves, N frames at 100 Hz of it, K mel bins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.frames import FFT_SIZE, SAMPLE_RATE

WINDOW = 400  # samples in 25 ms at 16 kHz
SHIFT = 160  # samples in 10 ms
LOW_HZ, HIGH_HZ = 20.0, SAMPLE_RATE / 2
PREEMPHASIS = 0.97
NUM_CEPSTRA, NUM_CEPSTRUM_BINS, LIFTER = 13, 23, 22.0
NUM_MFCC = 3 * NUM_CEPSTRA
ENERGY_FLOOR = float(np.finfo(np.float32).eps)  # Kaldi's floor under the logarithm
CHUNK_FRAMES = 512  # computed at once: what the cache holds, a megabyte of windows
REACH = 2  # frames that a delta sees on either side
_BLOCK = math.gcd(WINDOW, SHIFT)  # samples whose sum several windows share

Array = Any  # numpy's or torch's
Count = TypeVar("Count", bound=Any)  # an int, or whole numbers of either
Table = NDArray[np.float32]


@dataclass(frozen=True)
class Library:
    """What numpy and torch call differently; `table` makes constants theirs, once.

    `is_whole`: without chunks, for a graph that is of any length and so has no loop.
    """

    frames: Callable[[Array], Array]  # (S,) -> (N, 512), without copying
    rfft: Callable[[Array], Array]
    log: Callable[[Array], Array]
    concatenate: Callable[..., Array]
    table: Callable[..., Array]
    is_whole: bool = False


def num_mfcc_frames(num_samples: Count) -> Count:
    """Number of 100 Hz frames of ``num_samples`` samples, an int or integers of either library."""
    frames: Count = (num_samples - WINDOW) // SHIFT + 1
    return frames * (frames > 0)


def num_slots(num_samples: int) -> int:
    """Frames from the start of a joined wave to the next one's: its own, and room for deltas."""
    return -(-num_samples // SHIFT) + REACH


def join(waves: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The joined waves (S,), and the first frame of each."""
    ends = REACH + np.cumsum([num_slots(len(wave)) for wave in waves], dtype=np.int64)
    firsts = np.concatenate([[REACH], ends])
    joined = np.zeros(firsts[-1] * SHIFT + FFT_SIZE - SHIFT, np.float32)
    for wave, first in zip(waves, firsts[:-1] * SHIFT, strict=True):
        joined[first : first + len(wave)] = wave
    return joined, firsts[:-1]


def mfcc(joined: Array, firsts: Array, num_frames: Array, library: Library) -> Array:
    """13 MFCC, their deltas and delta-deltas, (N, 39), of waves of so many frames from `firsts`."""
    cepstra = log_mel(joined, NUM_CEPSTRUM_BINS, library) @ library.table(cepstrum_matrix)
    lasts = firsts + num_frames - 1
    deltas = _slopes(cepstra, firsts, lasts, library)
    return library.concatenate([cepstra, deltas, _slopes(deltas, firsts, lasts, library)], axis=1)


def log_mel(joined: Array, num_bins: int, library: Library) -> Array:
    """Log-mel energies (N, K) of joined waves (S,) float32."""
    if library.is_whole:
        return _log_mel(joined, num_bins, library)
    num_frames = (len(joined) - FFT_SIZE) // SHIFT + 1
    starts = range(0, num_frames, CHUNK_FRAMES)
    ends = [min(start + CHUNK_FRAMES, num_frames) for start in starts]
    bounds = [(a * SHIFT, (b - 1) * SHIFT + FFT_SIZE) for a, b in zip(starts, ends, strict=True)]
    return library.concatenate([_log_mel(joined[a:b], num_bins, library) for a, b in bounds])


def _log_mel(wave: Array, num_bins: int, library: Library) -> Array:
    spectrum = library.rfft(_windowed(wave, library))
    energy = (spectrum.real**2 + spectrum.imag**2) @ library.table(mel_matrix, num_bins)
    return library.log(energy.clip(min=ENERGY_FLOOR))


def _windowed(wave: Array, library: Library) -> Array:
    """(N, 512): frames without their mean, pre-emphasised, in the window, zeros behind.

    All but the mean and the window is done before frames are cut, once a sample. The first sample
    of a frame has no other before it; there the window is 0.
    """
    emphasised = library.concatenate([wave[:1], wave[1:] - PREEMPHASIS * wave[:-1]])
    frames = library.frames(emphasised)
    num_samples, num_frames = wave.shape[0], frames.shape[0]  # len() would fix them in a graph
    blocks = wave[: num_samples // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    sums = blocks @ library.table(window_blocks)
    per_window, per_shift = WINDOW // _BLOCK, SHIFT // _BLOCK
    stop = per_shift * (num_frames - 1) + 1
    means = sum(sums[i : i + stop : per_shift] for i in range(per_window)) / WINDOW
    frames = frames - (1 - PREEMPHASIS) * means[:, None]
    frames *= library.table(povey_window)
    return frames


def _slopes(x: Array, firsts: Array, lasts: Array, library: Library) -> Array:
    """Of the regression line through 5 frames, the first and last of each wave repeated outside."""
    for step in range(1, REACH + 1):
        x[lasts + step] = x[lasts]
    for step in range(1, REACH + 1):  # behind, since a wave without frames has no room of its own
        x[firsts - step] = x[firsts]
    inside = (2 * (x[4:] - x[:-4]) + x[3:-1] - x[1:-3]) / 10
    return library.concatenate([x[:REACH], inside, x[-REACH:]])


@cache
def povey_window() -> Table:
    """(512,), of which 112 are 0. Its rounding is all that a pure tone leaves in far mel bins.

    As Kaldi computes it, in doubles; torchaudio's is rounded at each step.
    """
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))
    return np.pad(hann**0.85, (0, FFT_SIZE - WINDOW)).astype(np.float32)


@cache
def window_blocks() -> Table:
    """(80,) ones, to sum blocks by: a product is faster than a sum of short rows."""
    return np.ones(_BLOCK, np.float32)


@cache
def mel_matrix(num_bins: int) -> Table:
    """Triangles of height 1 evenly spaced in mel: (257, num_bins)."""
    hertz = np.arange(FFT_SIZE // 2 + 1, dtype=np.float64) * (SAMPLE_RATE / FFT_SIZE)
    low, high = _mel(np.array([LOW_HZ, HIGH_HZ]))
    width = (high - low) / (num_bins + 1)
    centers = low + width * np.arange(1, num_bins + 1)
    distance = abs(_mel(hertz)[:, None] - centers) / width
    return np.maximum(1 - distance, 0).astype(np.float32)


def _mel(hertz: NDArray[Any]) -> NDArray[Any]:
    return np.log1p(hertz / 700) * 1127


@cache
def cepstrum_matrix() -> Table:
    """Orthonormal cosine transform with Kaldi's lifter on its outputs: (23, 13)."""
    bins, order = np.arange(NUM_CEPSTRUM_BINS)[:, None], np.arange(NUM_CEPSTRA)
    cosine = np.cos(math.pi / NUM_CEPSTRUM_BINS * (bins + 0.5) * order)
    cosine *= math.sqrt(2 / NUM_CEPSTRUM_BINS)
    cosine[:, 0] = math.sqrt(1 / NUM_CEPSTRUM_BINS)
    lifter = 1 + LIFTER / 2 * np.sin(math.pi * order / LIFTER)
    return (cosine * lifter).astype(np.float32)
