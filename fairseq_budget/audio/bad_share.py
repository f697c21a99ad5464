"""How much bad audio a corpus may have before the work on it stops."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

MAX_BAD_SHARE = 0.01
NUM_SHOWN = 20  # files that are named
MIN_BAD = 10
"""So many bad utterances are borne in any case: of few, a share says little."""


def are_too_many(num_bad: int, num_heard: int, max_share: float = MAX_BAD_SHARE) -> bool:
    """Whether so many bad utterances among `num_heard`, themselves included, are too many."""
    return num_bad >= MIN_BAD and num_bad > max_share * num_heard


def listed(reasons: Iterable[str]) -> str:
    """The first `NUM_SHOWN` reasons, a line each, to follow a message."""
    return "".join(f"\n  {reason}" for reason in islice(reasons, NUM_SHOWN))
