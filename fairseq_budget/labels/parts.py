"""Work in durable parts: each appears whole or not at all, so that an interruption costs one.

The parts of a task lie in a folder named by a hash of everything that shapes their bytes. Another
argument, manifest, checkpoint or model makes another folder, so nothing stale can be reused. A part
begins with the hash of what follows; one that is damaged is made again.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import itertools
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fairseq_budget.console.progress import Progress
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.run.interrupt import ignoring_interrupts

WORK_FOLDER = ".budget_labels"  # in the folder of the manifests; gone when all is done
MIN_PART_S, MAX_PART_S, MAX_PARTS = 60, 600, 4000  # seconds of audio in a part; how many to aim at

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h

_DIGEST = hashlib.sha256().digest_size

Task = TypeVar("Task")


class Parts:
    """The folder of the parts of one task, named after `task` and the hash of `settings`."""

    def __init__(self, folder: Path, task: str, settings: dict[str, Any]) -> None:
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = folder / WORK_FOLDER / task / key

    def path(self, index: int) -> Path:
        return self.folder / f"{index:06d}"

    def missing(self, indices: Iterable[int]) -> list[int]:
        """Those of these parts that are still to be made, or again."""
        return [index for index in indices if not self._is_whole(index)]

    def write(self, index: int, content: bytes | memoryview, *, durable: bool = True) -> None:
        with atomic_write(self.path(index), "wb", durable=durable) as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)

    def read(self, index: int) -> memoryview:
        """The array that was written; FileNotFoundError if it is not there, whole."""
        raw = memoryview(self.path(index).read_bytes())
        if hashlib.sha256(raw[_DIGEST:]).digest() != raw[:_DIGEST]:
            raise FileNotFoundError(f"{self.path(index)} is damaged; start the command again")
        return raw[_DIGEST:]

    def discard(self, index: int) -> None:
        """Have part `index` made again."""
        self.path(index).unlink(missing_ok=True)

    def _is_whole(self, index: int) -> bool:
        try:
            self.read(index)
        except FileNotFoundError:
            return False
        return True

    def remove(self) -> None:
        """Remove the parts of this task, those of other settings too; and the empty folder."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        with contextlib.suppress(OSError):  # other tasks still have parts, or it is gone
            self.folder.parent.parent.rmdir()


def cut_parts(sizes: NDArray[np.int64]) -> list[range]:
    """Runs of utterances of 1 to 10 minutes of audio, as a function of their `sizes` alone."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    part_s = min(max(total / SAMPLE_RATE / MAX_PARTS, MIN_PART_S), MAX_PART_S)
    number = (ends - 1) // round(part_s * SAMPLE_RATE)  # where an utterance ends is where it is
    bounds = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(sizes)]
    return [range(a, b) for a, b in itertools.pairwise(bounds) if a < b]


def shard_range(total: int, num_shards: int, shard: int) -> range:
    """The share of `shard`, counted from 0, of `total` items: simple_kmeans' slices."""
    if not 0 <= shard < num_shards:
        raise BudgetError(f"--shard {shard} of --num-shards {num_shards}: shards count from 0")
    return range(round(total / num_shards * shard), round(total / num_shards * (shard + 1)))


def single_threaded() -> threadpool_limits:
    """A block with libraries on one thread: processes do not fight, and sums keep their order."""
    return threadpool_limits(limits=1)


class Workers:
    """Runs tasks in this process, or in `num_workers` others that start when first needed.

    A process takes seconds to start: none does for fewer than `tasks_per_worker` tasks.
    """

    def __init__(self, num_workers: int, tasks_per_worker: int = 1) -> None:
        self._num_workers, self._tasks_per_worker = num_workers, tasks_per_worker
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, work: Callable[[Task], int], tasks: Sequence[Task], bar: Progress) -> None:
        """Call `work` on every task, in any order; `bar` advances by what it returns.

        The first error ends the work; parts that other processes have begun are finished.
        """
        if self._num_workers == 1 or len(tasks) < 2 * self._tasks_per_worker:
            _keep_memory()
            with single_threaded():
                for task in tasks:
                    bar.update(work(task))
        else:
            with ignoring_interrupts():
                futures = [self._started().submit(work, task) for task in tasks]
            try:
                for future in as_completed(futures):
                    bar.update(future.result())
            except BrokenProcessPool as error:
                raise BudgetError(
                    "a worker process died, as when memory is short; the same command goes on "
                    "where it was, if need be with fewer --workers"
                ) from error

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Not forked: a fork copies other threads' locks in whatever state, and loses the GPU.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._num_workers, context, _start_worker)
        return self._pool


def _start_worker() -> None:
    single_threaded()  # for good
    os.environ["OMP_NUM_THREADS"] = "1"  # of torch, which is loaded later, if at all
    _keep_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _keep_memory() -> None:
    """Let the C library keep freed blocks for the next ones.

    By default glibc hands megabytes back to the kernel after every part, which then has to clear
    each page anew: half of the time that MFCC take.
    """
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 28)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 25)


def _end_with_parent() -> None:
    """Workers of a killed process would otherwise wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
