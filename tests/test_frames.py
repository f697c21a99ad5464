"""The frame arithmetic against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_budget.frames import (
    CONV_GEOMETRY,
    FRAME_RATE_HZ,
    FRAME_SHIFT,
    RECEPTIVE_FIELD,
    frame_centres,
    num_frames,
    num_frames_after,
)


def steps_by_sliding(length: int, kernel: int, stride: int) -> int:
    """How often a kernel fits when it is slid along."""
    return sum(1 for start in range(0, length, stride) if start + kernel <= length)


def test_geometry_is_that_of_wav2vec_2() -> None:
    assert (FRAME_SHIFT, RECEPTIVE_FIELD, FRAME_RATE_HZ) == (320, 400, 50)


def test_frames_after_each_layer_equal_brute_force() -> None:
    for num_samples in range(1, 5001):
        length = num_samples
        for layer, (kernel, stride) in enumerate(CONV_GEOMETRY, start=1):
            length = steps_by_sliding(length, kernel, stride)
            assert num_frames_after(num_samples, layer) == length
        assert num_frames(num_samples) == length
        assert num_frames(num_samples) == max(0, (num_samples - 400) // 320 + 1)


def test_no_layer_leaves_the_samples() -> None:
    assert num_frames_after(1234, 0) == 1234


def test_arrays_are_counted_like_ints() -> None:
    lengths = np.arange(5000)
    counted = num_frames(lengths)
    assert counted.dtype == lengths.dtype
    assert counted.tolist() == [num_frames(length) for length in range(5000)]


def test_tensors_are_counted_like_ints() -> None:
    torch = pytest.importorskip("torch")
    counted = num_frames(torch.arange(5000))
    assert counted.dtype == torch.int64
    assert counted.tolist() == [num_frames(length) for length in range(5000)]


def test_frames_are_judged_by_the_sample_in_their_middle() -> None:
    assert frame_centres(3, 100).tolist() == [200, 360, 520]
    assert frame_centres(3, 50).tolist() == [200, 520, 840]
