"""The frames that k-means is fitted on: a bounded random sample of utterances and frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_FRAMES_PER_UTTERANCE = 6000  # so that a few hours-long recordings do not make up the sample


@dataclass(frozen=True)
class Sample:
    """`counts[i]` frames of utterance `utterances[i]`; which ones follows from the seed."""

    utterances: NDArray[np.int64]
    counts: NDArray[np.int64]
    seed: int

    @property
    def num_frames(self) -> int:
        return int(self.counts.sum())


def choose_sample(lengths: NDArray[np.int64], num_frames: int, seed: int) -> Sample:
    """At most `num_frames` frames of utterances of `lengths` frames: all, or a random sample.

    Utterances are drawn in the order in which simple_kmeans draws them with this seed (of numpy's
    older generator) until there are enough frames, the last one in part. The answer is a function
    of the arguments; utterances come in the order of the manifest.
    """
    if lengths.sum() <= num_frames:
        return Sample(np.arange(len(lengths)), lengths, seed)
    order = np.random.RandomState(seed).permutation(len(lengths))
    counts = np.minimum(lengths[order], MAX_FRAMES_PER_UTTERANCE)
    before = np.cumsum(counts) - counts
    counts = np.clip(num_frames - before, 0, counts)[np.argsort(order)]
    utterances = np.flatnonzero(counts)
    return Sample(utterances, counts[utterances], seed)


def sample_utterance(
    frames: NDArray[np.float32], count: int, seed: tuple[int, int]
) -> NDArray[np.float32]:
    """`count` of the frames (T, D), drawn by the seed, in the order of time."""
    if count == len(frames):
        return frames
    chosen = np.random.default_rng(seed).choice(len(frames), count, replace=False)
    return frames[np.sort(chosen)]
