"""Processes that end with the one that started them, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1  # of prctl(2)


def end_with_parent(parent: int | None = None) -> bool:
    """Be killed as soon as the thread that started this process is gone; False but on Linux.

    parent: the process that it should be; if it has gone already, this one ends at once.
    """
    try:
        done = ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0
    except (OSError, AttributeError):
        return False
    if parent is not None and os.getppid() != parent:
        os._exit(1)
    return done
