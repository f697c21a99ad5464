"""Losses on the way: how far above its end a run is, at each share of its schedule.

A law is of finished runs. A run whose learning rate has not decayed yet is above it, by as much as
the runs of the fit were at the same share of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairseq_budget.forecast.points import Amount, Point
from fairseq_budget.structured import Share

MIN_RUNS = 3  # that were validated so early
SHARES = tuple(round(0.05 * step, 2) for step in range(1, 21))


@dataclass(frozen=True)
class Stage:
    """The loss at a share of the schedule over that at its end; low and high of 80 % of runs."""

    share: Share
    ratio: Amount
    low: Amount
    high: Amount


@dataclass(frozen=True)
class Expected:
    """A loss that is expected, and between what 80 % of such runs lie."""

    loss: float
    low: float
    high: float


def learn_stages(points: Sequence[Point]) -> list[Stage]:
    """Stages, in order, at which three runs are known, by lines between their validations."""
    stages = []
    for share in SHARES:
        known = [_log_ratio(p, share) for p in points if p.validations and _first(p) <= share]
        if len(known) >= MIN_RUNS:
            stages.append(_stage(share, np.array(known)))
    return stages


def _first(point: Point) -> float:
    return point.validations[0][0]


def _log_ratio(point: Point, share: float) -> float:
    shares, losses = zip(*point.validations, strict=True)
    return float(np.interp(share, shares, np.log(losses)) - math.log(losses[-1]))


def _stage(share: float, logs: np.ndarray) -> Stage:
    """Of one more run like these: Student's interval, of the mean and the run's own spread."""
    from scipy.stats import t

    spread = logs.std(ddof=1) * math.sqrt(1 + 1 / len(logs)) * t.ppf(0.9, len(logs) - 1)
    mean = logs.mean()
    return Stage(share, *(math.exp(value) for value in (mean, mean - spread, mean + spread)))


def expected_at(end: Expected, stages: Sequence[Stage], share: float) -> Expected | None:
    """What a run that is to end with `end` has after a share of its schedule.

    None before the first stage, of which the runs tell nothing.
    """
    if not stages or share < stages[0].share:
        return None
    shares = [stage.share for stage in stages]
    logs = np.log([[stage.ratio, stage.low, stage.high] for stage in stages]).T
    ratio, low, high = (float(np.interp(share, shares, row)) for row in logs)
    loss = end.loss * math.exp(ratio)
    # the ends of two intervals that do not depend on each other
    below = math.hypot(math.log(end.loss / end.low), ratio - low)
    above = math.hypot(math.log(end.high / end.loss), high - ratio)
    return Expected(loss, loss * math.exp(-below), loss * math.exp(above))
