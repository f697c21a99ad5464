"""The batches of an epoch: each is computed when it is asked for, and none is kept.

Utterances stand in line by size, longest first, and a batch is the next ones that fit: fairseq's
`batch_by_size`, whose batches have equal sizes over long stretches and can be counted off instead
of listed. In each epoch utterances change places with others of nearly their size (`BUCKET_WIDTH`),
so that they meet new batch mates, and the batches come in a new order. Both orders are functions of
(seed, epoch) alone (shuffle.py): a position in an epoch is a number, found again at once, and the
cost in time and memory does not depend on the size of the corpus.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.data.shuffle import shuffled
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE

BUCKET_WIDTH = 0.05
"""Utterances that change places differ in length by this share at most: what padding may waste, or
what cropping to the shortest may lose, of a batch."""

MATES, BATCHES = 101, 102  # keys of the two random orders, apart from the streams of the dataset


class Limits(NamedTuple):
    """Limits of a batch.

    In fairseq's words: ``dataset.max_tokens`` (samples, padding counted), ``dataset.batch_size``
    (utterances), ``dataset.required_batch_size_multiple``.
    """

    max_tokens: int | None = None
    max_sentences: int | None = None
    multiple: int = 1

    def batch_size(self, longest: int) -> int:
        """Utterances in a batch whose longest has so many samples: a multiple, if one fits."""
        by_tokens = self.max_tokens and self.max_tokens // longest
        size = min((n for n in (by_tokens, self.max_sentences) if n is not None), default=0)
        return size - size % self.multiple if size >= self.multiple else size


class _Run(NamedTuple):
    """Batches of one size, from the batch `first` and the place `start` on."""

    first: int
    start: int
    batch_size: int


class UpdateAudio(NamedTuple):
    """Audio of an update, over all workers and accumulation steps; updates are fractions."""

    seconds: float
    sequence_s: float  # the mean utterance, cropped or padded
    updates_per_epoch: float
    lost: float = 0.0  # the share of utterances that cropping them to their batch's shortest takes


class Batches:
    """All batches of a corpus in any epoch.

    sizes (N,) counts samples, by_size (N,) lists utterances, longest first; both may be mapped
    files. Utterances above max_size are cropped to it, those below min_size are left out.
    Raises BudgetError if an utterance does not fit into a batch.
    """

    def __init__(
        self,
        sizes: NDArray[Any],
        by_size: NDArray[Any],
        limits: Limits,
        *,
        seed: int,
        max_size: int | None = None,
        min_size: int = 1,
    ) -> None:
        self._sizes, self._by_size, self._seed = sizes, by_size, seed
        self._max_size = max_size
        self.num_utterances = count_kept(sizes, by_size, min_size)
        self._buckets = self._cut_buckets()
        self._runs, self._num_batches = self._count_off(limits)

    def __len__(self) -> int:
        return self._num_batches

    def batch(self, place: int, epoch: int | None) -> list[int]:
        """The utterances of the batch at a place of an epoch; epoch None: all longest first."""
        if epoch is not None:
            number = shuffled(np.array([place]), len(self), self._seed, epoch, BATCHES)
            place = int(number[0])
        run = self._runs[bisect_right(self._runs, place, key=lambda run: run.first) - 1]
        start = run.start + (place - run.first) * run.batch_size
        stop = min(start + run.batch_size, self.num_utterances)
        places = np.arange(start, stop)
        if epoch is not None:
            places = self._with_new_mates(places, epoch)
        return self._by_size[places].tolist()

    def length(self, place: int) -> int:
        """Samples of the utterance at a place in line, as it is cropped."""
        size = int(self._sizes[self._by_size[place]])
        return size if self._max_size is None else min(size, self._max_size)

    def mean_samples(self, *, pad: bool, num_batches: int = 200) -> tuple[float, float]:
        """Mean samples of a batch, and of an utterance in it, padded or cropped to the shortest.

        Exact for up to `num_batches`; above, so many of epoch 1 are looked at.
        """
        chosen = [self.batch(place, 1) for place in range(min(len(self), num_batches))]
        sizes = [np.minimum(self._sizes[batch], self._max_size or np.inf) for batch in chosen]
        total = sum(float(size.sum() if pad else size.min() * len(size)) for size in sizes)
        return total / len(sizes), total / sum(map(len, sizes))

    def update_audio(self, num_batches: int, *, pad: bool) -> UpdateAudio:
        """Audio of an update of so many batches, on average over those of epoch 1."""
        per_batch, per_sequence = self.mean_samples(pad=pad)
        return UpdateAudio(
            num_batches * per_batch / SAMPLE_RATE,
            per_sequence / SAMPLE_RATE,
            len(self) / num_batches,
            1 - per_batch / self.mean_samples(pad=True)[0],
        )

    def _cut_buckets(self) -> list[int]:
        """Starts of the buckets, and the end: places in line."""
        starts, place = [], 0
        while place < self.num_utterances:
            starts.append(place)
            shortest = self.length(place) * (1 - BUCKET_WIDTH)
            place = bisect_left(
                range(self.num_utterances), True, lo=place, key=lambda p: self.length(p) < shortest
            )
        return [*starts, self.num_utterances]

    def _count_off(self, limits: Limits) -> tuple[list[_Run], int]:
        """A batch that begins in a bucket must hold the bucket's longest, wherever that stands."""
        runs, place, num_batches = [], 0, 0
        for start, stop in itertools.pairwise(self._buckets):
            if place >= stop:  # taken along by the batch before
                continue
            batch_size = limits.batch_size(self.length(start))
            if not batch_size:
                raise _too_long(limits, self.length(start))
            runs.append(_Run(num_batches, place, batch_size))
            count = -((place - stop) // batch_size)
            num_batches, place = num_batches + count, place + count * batch_size
        return runs, num_batches

    def _with_new_mates(self, places: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        found = np.searchsorted(self._buckets, places, side="right") - 1
        mates = []
        for bucket in np.unique(found).tolist():
            start, stop = self._buckets[bucket : bucket + 2]
            inside = places[found == bucket] - start
            order = shuffled(inside, stop - start, self._seed, epoch, MATES, bucket)
            mates.append(start + order)
        return np.concatenate(mates)


def count_kept(sizes: NDArray[Any], by_size: NDArray[Any], min_size: int) -> int:
    """How many utterances have at least so many samples: they stand first in line."""
    return bisect_left(range(len(by_size)), True, key=lambda p: sizes[by_size[p]] < min_size)


def _too_long(limits: Limits, longest: int) -> BudgetError:
    if limits.max_tokens is None:
        return BudgetError("a batch has no limit: set dataset.max_tokens or dataset.batch_size")
    return BudgetError(
        f"dataset.max_tokens={limits.max_tokens} (samples in a batch) is less than an utterance of "
        f"{longest}: raise it, or lower task.max_sample_size"
    )
