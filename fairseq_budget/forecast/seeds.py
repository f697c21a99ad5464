"""Runs that differ in their seed alone: how much of a difference between others is chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from fairseq_budget.console.table import column
from fairseq_budget.forecast.checks import budgets
from fairseq_budget.forecast.points import Point
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.report.alike import CORPORA_APART, near


@dataclass(frozen=True, kw_only=True)
class SeedRow:
    """The mean loss of runs with several seeds, and their standard deviation (n - 1).

    A seed chooses the masks of the validation data, too, and so shifts all losses alike: `apart` is
    the deviation that is left once the mean of each seed over all rows of the budget is taken out,
    where these have the same seeds. It is that by which rows differ or do not.
    """

    flops: float = column("FLOPs")
    layers: int | None = column(optional=True)
    parameters: int = column("encoder parameters")
    corpus_hours: float | None = column("corpus (h)", digits=2, optional=True)
    repetitions: float | None = column("times heard", digits=1, optional=True)
    seeds: int
    loss: float = column("mean loss")
    deviation: float = column("± between seeds", digits=4)
    apart: float | None = column(
        "± without what seeds share", default=None, digits=4, optional=True
    )


def seed_rows(points: Sequence[Point]) -> list[SeedRow]:
    """A row for each budget, shape and corpus with two seeds at least, in this order."""
    rows: list[SeedRow] = []
    for budget in budgets(points):
        groups = [own for own in _alike(budget) if len(own) > 1]
        rows += map(_row, groups, _apart(groups))
    return rows


def _apart(groups: Sequence[Sequence[Point]]) -> Sequence[float | None]:
    """Of each group, the deviation that its seeds do not share with the other groups."""
    ordered = [sorted(own, key=lambda point: point.seed or 0) for own in groups]
    first, *others = [[point.seed for point in own] for own in ordered] or [[]]
    is_paired = None not in first and len(set(first)) == len(first)
    if not others or not is_paired or any(own != first for own in others):
        return [None] * len(groups)
    losses = np.array([[point.valid_loss for point in own] for own in ordered])
    left = losses - losses.mean(0) - losses.mean(1, keepdims=True) + losses.mean()
    free = (losses.shape[1] - 1) * (len(groups) - 1) / len(groups)
    return [float(value) for value in np.sqrt(np.square(left).sum(1) / free)]


def _alike(points: Sequence[Point]) -> list[list[Point]]:
    """Points of one budget by their shape and corpus; smallest first."""
    shapes: dict[tuple[int, int], list[Point]] = {}
    for point in points:
        shapes.setdefault((point.parameters, point.layers or 0), []).append(point)
    return [
        own
        for _, shape in sorted(shapes.items())
        for own in near(shape, lambda point: point.unique_frames, CORPORA_APART)
    ]


def _row(points: Sequence[Point], apart: float | None) -> SeedRow:
    first, losses = points[0], [point.valid_loss for point in points]
    unique = first.unique_frames
    return SeedRow(
        flops=fmean(point.flops for point in points),
        layers=first.layers,
        parameters=first.parameters,
        corpus_hours=unique and unique / FRAME_RATE_HZ / 3600,
        repetitions=unique and fmean(point.frames for point in points) / unique,
        seeds=len(points),
        loss=fmean(losses),
        deviation=stdev(losses),
        apart=apart,
    )
