"""Any rate and any number of channels to 16 kHz mono; the only import of soxr."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from fairseq_budget.frames import SAMPLE_RATE

Block = NDArray[np.float32]


def to_model_rate(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Samples (S, C) at `sample_rate` Hz as (S',) float32 at 16 kHz, the mean over channels.

    SoX resampler at its very-high-quality setting. Audio that is 16 kHz mono already comes back
    unchanged, bit for bit.
    """
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if sample_rate == SAMPLE_RATE:
        return mono
    resampled: NDArray[np.float32] = soxr.resample(mono, sample_rate, SAMPLE_RATE, quality="VHQ")
    return resampled


def blocks_at_model_rate(blocks: Iterable[Block], sample_rate: int) -> Iterator[Block]:
    """`to_model_rate` in bounded memory: the same samples, for blocks (S, C) of a recording."""
    stream = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32", quality="VHQ")
    for block in blocks:
        mono = to_model_rate(block, SAMPLE_RATE)
        yield mono if sample_rate == SAMPLE_RATE else stream.resample_chunk(mono)
    if sample_rate != SAMPLE_RATE:
        yield stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)
