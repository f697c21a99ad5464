"""An ordered map over processes, for work on many files."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

from fairseq_budget.run.interrupt import ignoring_interrupts

CHUNK = 64  # pieces of work that a process is handed at once
Given = TypeVar("Given")
Made = TypeVar("Made")


class Map(Protocol):
    """As the built-in one."""

    def __call__(
        self, work: Callable[[Given], Made], given: Iterable[Given], /
    ) -> Iterator[Made]: ...


@contextmanager
def mapper(num_workers: int) -> Iterator[Map]:
    """An ordered `map`, over processes if there is more than one worker.

    Processes are spawned, never forked: a fork would copy the threads' locks in whatever state.
    """
    if num_workers == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context) as pool:

        def run(work: Callable[[Given], Made], given: Iterable[Given], /) -> Iterator[Made]:
            with ignoring_interrupts():
                return pool.map(work, given, chunksize=CHUNK)

        try:
            yield run
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
