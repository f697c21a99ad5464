"""Whether CTC can emit an utterance's labels at all, from its length and its labels alone.

CTC needs one frame for each label and one blank between equal neighbours: a path exists iff
T' >= U + R ("Connectionist Temporal Classification", Graves et al. 2006, section 3.1), with T'
frames after subsampling, U labels and R equal neighbours. Where there is none the loss is infinite,
and with `zero_infinity`, as s3prl sets it, silently zero: such utterances train nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ, num_frames

Labels = Sequence[Hashable]
"""Labels of an utterance in order; only their number and which are equal matter."""


@dataclass(frozen=True)
class Feasibility:
    """Shares that are out of CTC's reach when each `rate` frames of 50 Hz become one.

    `infeasible`: share of utterances without a path. `missing`: frames that they lack for each
    label, sum max(0, U + R - T') / sum U. `least_error`: the lowest error rate that any model can
    reach, 1 for one error in each label: see `least_errors`.
    """

    unit: str
    rate: float
    frame_rate_hz: float
    infeasible: float = column(percent=True)
    missing: float = column(percent=True)
    least_error: float = column(percent=True)


def ctc_feasibility(
    num_samples: ArrayLike, labels: Sequence[Labels], *, rate: float, unit: str = "labels"
) -> Feasibility:
    """Count what is out of CTC's reach.

    num_samples (N,) of the utterances; labels of each of them, without the end of sentence that
    s3prl appends. It needs a frame in training, but leaving it out is no error in a transcript.
    """
    frames = _frames(num_samples, rate)
    counts = np.array([len(row) for row in labels], dtype=np.int64)
    repeats = np.array([_num_repeats(row) for row in labels], dtype=np.int64)
    if len(frames) != len(counts):
        raise BudgetError(f"{len(counts)} label sequences for {len(frames)} utterances")
    if not counts.sum():
        raise BudgetError("no utterance has any label; give the transcripts of this manifest")
    lacking = np.maximum(counts + 1 + repeats - frames, 0)  # 1: the end of sentence
    errors = least_errors(counts, repeats, frames)
    return Feasibility(
        unit=unit,
        rate=rate,
        frame_rate_hz=FRAME_RATE_HZ / rate,
        infeasible=float((lacking > 0).mean()),
        missing=float(lacking.sum() / (counts + 1).sum()),
        least_error=float(errors.sum() / counts.sum()),
    )


def least_errors(
    num_labels: NDArray[np.int64], num_repeats: NDArray[np.int64], num_frames: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Fewest deletions and substitutions that make labels fit: max(ceil((U + R - T') / 2), U - T').

    An edit among equal neighbours saves two frames, a label and a blank; when none are left, a
    deletion saves one.
    """
    lacking = num_labels + num_repeats - num_frames
    return np.maximum(np.maximum(-(-lacking // 2), num_labels - num_frames), 0)


def _frames(num_samples: ArrayLike, rate: float) -> NDArray[np.int64]:
    if not 1 <= rate < float("inf"):
        raise BudgetError(f"rate {rate:g}: expected the number of frames that become one, from 1")
    frames = num_frames(np.asarray(num_samples, dtype=np.int64))
    return np.ceil(frames / rate).astype(np.int64)


def _num_repeats(labels: Labels) -> int:
    return sum(first == second for first, second in itertools.pairwise(labels))
