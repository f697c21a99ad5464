"""Long recordings in windows that an encoder hears one by one, which bounds its memory.

Neighbouring windows share frames; each takes its half of them, where it hears more around. With
nothing shared but the samples that a frame sees beyond its shift, no frame is lost or moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.frames import FRAME_SHIFT, RECEPTIVE_FIELD, num_frames

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Windows of utterances, in order: arrays (N,) int64.

    Samples [start, stop) of an `utterance` are heard; `keep` of their frames are taken, behind the
    first `skip`. Taken frames, joined, are those of each utterance as a whole.
    """

    utterance: Integers
    start: Integers
    stop: Integers
    skip: Integers
    keep: Integers

    def __len__(self) -> int:
        return len(self.utterance)


def cut_windows(sizes: Integers, window_frames: int, overlap_frames: int = 0) -> Windows:
    """Windows of at most `window_frames` frames, of which neighbours share `overlap_frames`.

    `sizes` (U,) counts the samples of utterances; one that fits has one window, without a seam.
    """
    hop, margin = window_frames - overlap_frames, overlap_frames // 2
    frames = num_frames(sizes)
    counts = 1 + np.maximum(0, -(-(frames - window_frames) // hop))
    utterance = np.repeat(np.arange(len(sizes)), counts)
    place = np.arange(len(utterance)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_last = place == counts[utterance] - 1
    first = place * hop
    taken = first + margin * (place > 0)  # the first frame that is
    end = np.where(is_last, frames[utterance], first + hop + margin)
    heard = (first + window_frames) * FRAME_SHIFT + RECEPTIVE_FIELD - FRAME_SHIFT
    return Windows(
        utterance,
        first * FRAME_SHIFT,
        np.where(is_last, sizes[utterance], heard),
        taken - first,
        end - taken,
    )
