"""The batches of an epoch as fairseq's trainer iterates over them, from any position on.

fairseq's own iterator lists, shuffles and holds all batches. This one holds `Batches`, which
computes them, and saves a position in the epoch that counts batches over all GPUs: with rank r of W
taking batches r, r + W, ... of what is left, a run resumed on another number of GPUs sees every
batch of the epoch that was left, once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import threadpoolctl
import torch
from fairseq.data.iterators import BufferedIterator, CountingIterator, EpochBatchIterating
from torch.utils.data import DataLoader

from fairseq_budget.data.batches import Batches
from fairseq_budget.run import interrupt

logger = logging.getLogger(__name__)

MAX_BUFFER = 20  # batches: fairseq's own limit
MAX_WORKERS = 8  # one reads, crops and masks about an hour of flac in a second


def default_workers(num_shards: int) -> int:
    """Loader processes of one GPU: the cores of this machine, shared by its GPUs, one each left."""
    num_gpus = min(num_shards, max(1, torch.cuda.device_count()))
    return max(1, min(MAX_WORKERS, len(os.sched_getaffinity(0)) // num_gpus - 1))


def _begin_worker(worker: int) -> None:
    """Workers are as many as there are cores for them; torch limits its own threads only.

    Signals reach them, too; training goes on to the update's end and needs them until then.
    """
    interrupt.ignore()
    threadpoolctl.threadpool_limits(1)


class EpochBatches(EpochBatchIterating):
    """Epochs of `batches` of a dataset, for one of `num_shards` GPUs.

    The loader's workers live through all epochs. What a batch is does not depend on num_workers,
    buffer_size or num_shards. Where batches do not divide by num_shards, ranks without one get a
    filler in the last round: a batch once more, for the task to count as nothing. (fairseq hands
    out an empty one, for which its trainer drops all that the rank has accumulated.)
    """

    def __init__(
        self,
        dataset: Any,
        batches: Batches,
        *,
        num_shards: int = 1,
        shard_id: int = 0,
        num_workers: int = 0,
        epoch: int = 1,
        buffer_size: int = 0,
        skip_remainder: bool = False,
        corpus_hash: str = "",
    ) -> None:
        self.dataset, self.batches = dataset, batches
        self.num_shards = num_shards
        self.epoch = max(epoch, 1)
        self.waited_s = 0.0  # for batches, since the start
        self._buffer_size = min(buffer_size, MAX_BUFFER)
        self._skip_remainder = skip_remainder
        self._corpus_hash = corpus_hash
        self._shuffle = True
        self._start = 0  # where in the epoch, in batches of all shards, `_current` began
        self._current: _Timed | None = None
        self._sampler = _Sampler(batches, num_shards, shard_id)
        self._loader: Any = DataLoader(
            dataset,
            collate_fn=dataset.collater,
            batch_sampler=self._sampler,
            num_workers=num_workers,
            worker_init_fn=_begin_worker,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
        )

    def __len__(self) -> int:
        return -(-len(self.batches) // self.num_shards)

    @property
    def first_batch(self) -> Any:
        return self.dataset.collater([self.dataset[i] for i in self.batches.batch(0, None)])

    @property
    def next_epoch_idx(self) -> int:
        """The epoch that the next iterator will belong to."""
        return self.epoch + 1 if self._current is not None and self.end_of_epoch() else self.epoch

    def next_epoch_itr(
        self,
        shuffle: bool = True,
        fix_batches_to_gpus: bool = False,
        set_dataset_epoch: bool = True,
    ) -> CountingIterator:
        """The batches of the next epoch, or what is left of one that was resumed."""
        if self._current is not None:
            self.epoch, self._start = self.next_epoch_idx, 0
        if set_dataset_epoch:
            self.dataset.set_epoch(self.epoch)
        self._shuffle = shuffle
        self._sampler.begin(self.epoch if shuffle else None, self._start)
        loader = self._loader
        if self._buffer_size:
            loader = BufferedIterator(self._buffer_size, loader)
        self._current = _Timed(self, loader)
        if self._skip_remainder:
            self._current.take(len(self._current) - 1)
        return self._current

    def end_of_epoch(self) -> bool:
        return self._current is not None and not self._current.has_next()

    @property
    def iterations_in_epoch(self) -> int:
        """Batches of the epoch that each shard has taken, had there always been so many shards.

        The iterator itself counts from where it began: fairseq groups its batches into updates, and
        groups of another size need not fit to what was taken before.
        """
        return -(-self.position // self.num_shards)

    n = iterations_in_epoch

    @property
    def position(self) -> int:
        """Batches of the epoch that all shards have taken."""
        taken = 0 if self._current is None else self._current.n
        return min(self._start + taken * self.num_shards, len(self.batches))

    def state_dict(self) -> dict[str, Any]:
        ended = self.end_of_epoch()
        return {
            "version": 2,
            "epoch": self.epoch + 1 if ended else self.epoch,
            "iterations_in_epoch": 0 if ended else self.iterations_in_epoch,
            "position": 0 if ended else self.position,
            "num_batches": len(self.batches),
            "shuffle": self._shuffle,
            "corpus": self._corpus_hash,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a position; that of a checkpoint of fairseq's iterator counts as ours.

        Where there are other batches than when it was saved, go on at the same share of the epoch.
        """
        if state_dict.get("corpus", self._corpus_hash) != self._corpus_hash:
            logger.warning(
                "the training manifest is not the one that the checkpoint was made with (another "
                "task.data, or edited since): going on with the utterances that it has now"
            )
        self.epoch, self._current = state_dict["epoch"], None
        iterations = state_dict.get("iterations_in_epoch", 0)
        self._start = state_dict.get("position", iterations * self.num_shards)
        num_batches, before = len(self.batches), state_dict.get("num_batches", len(self.batches))
        if self._start and num_batches != before:
            self._start = self._start * num_batches // before
            logger.warning(
                f"an epoch has {num_batches} batches in place of {before} (dataset.max_tokens, "
                "dataset.batch_size, the corpus): going on at the same share of it; until its end, "
                "some utterances come again and others not at all"
            )
        if self._start >= num_batches:  # of fairseq's iterator, which made more batches
            self.epoch, self._start = self.epoch + 1, 0


class _Sampler:
    """The batches of one shard that are left of an epoch, as lists of utterances."""

    def __init__(self, batches: Batches, num_shards: int, shard_id: int) -> None:
        self._batches, self._num_shards, self._shard_id = batches, num_shards, shard_id
        self.begin(None, 0)

    def begin(self, epoch: int | None, start: int) -> None:
        self._epoch, self._start = epoch, start

    def __len__(self) -> int:
        return -((self._start - len(self._batches)) // self._num_shards)

    def __iter__(self) -> Iterator[list[int]]:
        epoch, first = self._epoch, self._start + self._shard_id
        for place in range(first, first + len(self) * self._num_shards, self._num_shards):
            yield self._batches.batch(place, epoch) if place < len(self._batches) else []


class _Timed(CountingIterator):
    """Counts batches, and the time that was spent waiting for them; makes fillers."""

    def __init__(self, epochs: EpochBatches, batches: Any) -> None:
        super().__init__(batches)
        self._epochs = epochs
        self._last: Any = None

    def __next__(self) -> Any:
        started = time.perf_counter()
        batch = super().__next__()
        self._epochs.waited_s += time.perf_counter() - started
        if not batch:
            return self._epochs.dataset.filler(self._last or self._epochs.first_batch)
        self._last = batch
        return batch
