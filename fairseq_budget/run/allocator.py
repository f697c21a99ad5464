"""Memory that is freed stays with the process: an update on a CPU asks for as much at once again.

glibc's malloc maps large blocks anew at each request and gives them back when they are freed, so
the kernel clears the same pages in every update.
"""

from __future__ import annotations

import ctypes

_OPTIONS = {  # of mallopt(3), by the numbers of malloc.h
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: free memory at the end of the heap is kept
    -2: 2**26,  # M_TOP_PAD: the heap grows by at least 64 MB
    -4: 0,  # M_MMAP_MAX: no block is a mapping of its own
}


def keep_freed_memory() -> bool:
    """From now on, in this process and its forks; False where malloc is not glibc's."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(option, value) for option, value in _OPTIONS.items())
