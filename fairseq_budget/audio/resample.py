"""Any rate and any number of channels to 16 kHz mono; the only import of soxr."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from fairseq_budget.frames import SAMPLE_RATE


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
