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
from fairseq_budget.report.alike import CORPORA_APART


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
    tables = [{point.seed: point.valid_loss for point in own} for own in groups]
    seeds = sorted(seed for seed in tables[0] if seed is not None) if groups else []
    is_whole = all(sorted(map(str, own)) == sorted(map(str, seeds)) for own in tables)
    if len(groups) < 2 or not is_whole or any(len(own) != len(seeds) for own in groups):
        return [None] * len(groups)
    losses = np.array([[own[seed] for seed in seeds] for own in tables])
    left = losses - losses.mean(0) - losses.mean(1, keepdims=True) + losses.mean()
    free = (len(seeds) - 1) * (len(groups) - 1) / len(groups)
    return [float(value) for value in np.sqrt(np.square(left).sum(1) / free)]


def _alike(points: Sequence[Point]) -> list[list[Point]]:
    """Points of one budget by their shape and corpus; smallest first."""
    groups: list[list[Point]] = []
    for point in sorted(points, key=_shape):
        if not groups or not _is_alike(groups[-1][0], point):
            groups.append([])
        groups[-1].append(point)
    return groups


def _shape(point: Point) -> tuple[int, int, float]:
    return point.parameters, point.layers or 0, point.unique_frames or 0


def _is_alike(first: Point, other: Point) -> bool:
    *shape, unique = _shape(first)
    *other_shape, other_unique = _shape(other)
    return shape == other_shape and other_unique <= CORPORA_APART * unique


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
