"""Gradient accumulation: updates that hold the same audio, whatever the length and the GPUs."""

from __future__ import annotations

import math
from typing import NamedTuple

USABLE_MEMORY = 0.8  # of a GPU; closed forms are short of what was measured by up to a sixth


class Update(NamedTuple):
    """On each GPU ``update_freq`` batches of ``batch`` sequences; ``audio_s`` over all GPUs."""

    batch: int
    update_freq: int
    audio_s: float


def accumulate(wanted_s: float, *, length_s: float, batch: int, gpus: int = 1) -> Update:
    """The update of such batches that is nearest to ``wanted_s`` seconds of audio.

    A lone batch on each GPU may be more than that: there is no smaller update.
    """
    batch_s = gpus * batch * length_s
    update_freq = max(1, round(wanted_s / batch_s))
    return Update(batch, update_freq, update_freq * batch_s)


def fit_update(wanted_s: float, *, length_s: float, max_batch: int, gpus: int = 1) -> Update:
    """The same with the fewest batches of at most ``max_batch`` sequences, all equally full."""
    sequence_s = gpus * length_s
    update_freq = max(1, math.ceil(wanted_s / (sequence_s * max_batch)))
    batch = max(1, round(wanted_s / (sequence_s * update_freq)))
    return Update(batch, update_freq, batch * update_freq * sequence_s)
