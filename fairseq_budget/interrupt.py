"""Ctrl-C: the first one asks a run to save and stop, the second one stops it at once."""

from __future__ import annotations

import signal
import time
from typing import Any

EXIT_CODE = 130  # what a shell expects of a program that SIGINT has ended
SAME_KEY_S = 1.0  # torchrun sends another SIGINT beside the terminal's: both are one


class Interrupt:
    """Whether this process has been asked to stop, and whether its run has agreed to."""

    def __init__(self) -> None:
        self.agreed = False
        self._asked_at: float | None = None

    def listen(self) -> None:
        """From now on; before, SIGINT stops at once, as there is nothing to be saved."""
        signal.signal(signal.SIGINT, self._receive)

    @property
    def asked(self) -> bool:
        return self._asked_at is not None

    def _receive(self, *unused: Any) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at > SAME_KEY_S:
            raise KeyboardInterrupt


interrupt = Interrupt()
"""Of this process."""
