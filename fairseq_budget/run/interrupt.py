"""Signals: the first one asks a run to save and stop, a second Ctrl-C stops it at once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

CTRL_C = 130  # what a shell expects of a program that SIGINT has ended
REQUEUE = 75  # EX_TEMPFAIL of sysexits.h, "try again later": the machine is wanted back
EXIT_CODES = {signal.SIGINT: CTRL_C, signal.SIGTERM: REQUEUE, signal.SIGUSR1: REQUEUE}
SAME_KEY_S = 1.0  # torchrun sends another SIGINT beside the terminal's: both are one


class Interrupt:
    """Exit codes: what this process has been asked to stop with, and what its run has agreed to.

    0 until then.
    """

    def __init__(self) -> None:
        self.asked = self.agreed = 0
        self._asked_at = 0.0

    def listen(self) -> None:
        """From now on; before, signals stop at once, as there is nothing to be saved."""
        for number in EXIT_CODES:
            signal.signal(number, self._receive)

    def counts(self) -> dict[str, int]:
        """Counts that this process adds to the logs of an update, to be summed over processes."""
        return {f"asked_{code}": int(self.asked == code) for code in (CTRL_C, REQUEUE)}

    def agree(self, logs: Sequence[Mapping[str, Any]]) -> bool:
        """Whether any process has been asked, by the logs of all; Ctrl-C comes first."""
        for code in (CTRL_C, REQUEUE):
            if not self.agreed and any(log.get(f"asked_{code}") for log in logs):
                self.agreed = code
        return self.agreed > 0

    def _receive(self, number: int, _: object) -> None:
        now = time.monotonic()
        if not self.asked:
            self.asked, self._asked_at = EXIT_CODES[signal.Signals(number)], now
        elif number == signal.SIGINT and now - self._asked_at > SAME_KEY_S:
            raise KeyboardInterrupt


interrupt = Interrupt()
"""Of this process."""


def ignore() -> None:
    """For processes that help a run: what a terminal or Slurm sends to all is the run's to answer.

    SIGTERM stays: it is how the run itself ends them.
    """
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def ignoring_interrupts() -> Iterator[None]:
    """Processes started here ignore Ctrl-C for good, which their parent answers for them."""
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
