"""Samples to frames: the only arithmetic of the waveform frontend's geometry.

The seven convolutions of wav2vec 2.0 ("wav2vec 2.0", section 4.2; HuBERT, DistilHuBERT and our TERA
share them) turn 16 kHz audio into one frame per 20 ms, each seeing 25 ms. No convolution is padded.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second of all audio that reaches a model."""

CONV_GEOMETRY = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
"""(kernel, stride) of the frontend's convolutions, first layer first."""


def window_after(num_layers: int) -> tuple[int, int]:
    """(kernel, stride) in samples of the one convolution that the first layers make together.

    >>> window_after(2)
    (20, 10)
    """
    width, shift = 1, 1
    for kernel, stride in CONV_GEOMETRY[:num_layers]:
        width, shift = width + (kernel - 1) * shift, shift * stride
    return width, shift


RECEPTIVE_FIELD, FRAME_SHIFT = window_after(len(CONV_GEOMETRY))
"""Samples that one frame sees, 400, and between the starts of two neighbouring frames, 320."""

FRAME_RATE_HZ = SAMPLE_RATE // FRAME_SHIFT
"""Frames per second: 50."""

FFT_SIZE = 512
"""Samples of the spectrum of 25 ms, 112 of which are zeros."""

MEL_BINS = 80
"""Energies of a log-mel frame; these frames are 10 ms apart, two in one of ours."""


def hours(num_samples: float) -> float:
    """Hours of audio.

    >>> hours(57_600_000)
    1.0
    """
    return num_samples / SAMPLE_RATE / 3600


Count = TypeVar("Count")
"""An int or a signed integer numpy array or torch tensor; the answer is of the same kind."""


def num_frames(num_samples: Count) -> Count:
    """The number of frames of `num_samples` samples; 0 below `RECEPTIVE_FIELD` samples.

    >>> num_frames(16_000)
    49
    """
    return num_frames_after(num_samples, len(CONV_GEOMETRY))


def num_frames_after(num_samples: Count, num_layers: int) -> Count:
    """The number of time steps that `num_samples` samples have after the first `num_layers` layers.

    Each layer gives floor((length - kernel) / stride) + 1 steps and never fewer than 0; after no
    layer at all the length is the number of samples itself.
    """
    length: Any = num_samples  # whose operators ints, arrays and tensors share
    kernel, stride = window_after(num_layers)
    steps = (length - kernel + stride) // stride
    return steps * (steps > 0)  # 0 where the kernel does not fit


def label_indices(start: int, num_frames: int, label_rate: float) -> NDArray[np.int64]:
    """Indices of the labels that belong to `num_frames` frames from sample `start` on.

    `label_rate` is in Hz. A frame takes the label at its start: at 100 Hz (MFCC) every other one.

    >>> label_indices(640, 3, 100.0).tolist()
    [4, 6, 8]
    """
    frames = start / FRAME_SHIFT + np.arange(num_frames)
    return np.floor(frames * label_rate / FRAME_RATE_HZ + 1e-6).astype(np.int64)


def frame_centres(num_frames: int, rate: int) -> NDArray[np.int64]:
    """The sample in the middle of each frame: MFCC and the encoder both see 25 ms, unpadded."""
    return np.arange(num_frames) * (SAMPLE_RATE // rate) + RECEPTIVE_FIELD // 2
