"""The best size at each budget, by a parabola of log loss over log size: Hoffmann's approach 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fairseq_budget.console.table import column
from fairseq_budget.forecast.checks import MIN_SIZES, budgets, has_learned
from fairseq_budget.forecast.fit import NUM_DRAWS, interval
from fairseq_budget.forecast.law import Array
from fairseq_budget.forecast.points import Point
from fairseq_budget.report.alike import CORPORA_APART, near


@dataclass(frozen=True, kw_only=True)
class BudgetRow:
    """A budget's parabola: the size with the least loss, and its interval where there is one.

    With as many sizes as a parabola has numbers there are no residuals, and no interval.
    `refused` says why there is no best size.
    """

    objective: str
    flops: float = column("FLOPs")
    sizes: int
    parameters: int | None = column("best encoder parameters", default=None)
    low: int | None = column("80 % low", default=None, optional=True)
    high: int | None = column("80 % high", default=None, optional=True)
    loss: float | None = column("loss there", default=None)
    refused: str | None = column(default=None, optional=True)
    curve: list[list[float]] = field(default_factory=list, metadata={"hidden": True})


def by_budget(
    points: Sequence[Point], rows: Sequence[BudgetRow]
) -> dict[str, tuple[list[list[float]], list[list[float]]]]:
    """What is drawn of each budget: its runs and its parabola, pairs of parameters and loss."""
    curves = {row.flops: row.curve for row in rows}
    return {
        f"{_flops(own):.3g} FLOPs": (
            [[point.parameters, point.valid_loss] for point in own],
            curves.get(_flops(own), []),
        )
        for own in budgets(points)
    }


def _flops(points: Sequence[Point]) -> float:
    return float(np.median([point.flops for point in points]))


def budget_rows(points: Sequence[Point], seed: int) -> list[BudgetRow]:
    """A row for each budget with three sizes at least; points of one objective.

    Of runs that have learned something, on all of the corpus.
    """
    whole = map(_on_whole_corpus, budgets(list(filter(has_learned, points))))
    groups = [own for own in whole if len({p.parameters for p in own}) >= MIN_SIZES]
    return [_row(own, np.random.default_rng([seed, place])) for place, own in enumerate(groups)]


def _on_whole_corpus(points: Sequence[Point]) -> Sequence[Point]:
    if not all(point.unique_frames for point in points):
        return points
    return near(points, lambda point: point.unique_frames, CORPORA_APART)[-1]


def _row(points: Sequence[Point], generator: np.random.Generator) -> BudgetRow:
    size = np.log([point.parameters for point in points])
    loss = np.log([point.valid_loss for point in points])
    middle = size.mean()
    parabola = np.polyfit(size - middle, loss, 2)
    along = np.linspace(size.min(), size.max(), 60)
    curve = np.exp([along, np.polyval(parabola, along - middle)]).T
    shared = {
        "objective": points[0].objective,
        "flops": _flops(points),
        "sizes": len(set(size)),
        "curve": curve.tolist(),
    }
    best = _lowest(parabola)
    if best is None or not size.min() <= middle + best <= size.max():
        reason = "the loss has no lowest point between these sizes: run smaller or larger ones"
        return BudgetRow(**shared, refused=reason)
    found = _interval(size - middle, loss, parabola, generator)
    low, high = (round(np.exp(middle + end)) for end in found) if found else (None, None)
    return BudgetRow(
        **shared,
        parameters=round(np.exp(middle + best)),
        low=low,
        high=high,
        loss=float(np.exp(np.polyval(parabola, best))),
    )


def _lowest(parabola: Array) -> float | None:
    """Where a parabola that opens upwards is lowest."""
    return float(-parabola[1] / (2 * parabola[0])) if parabola[0] > 0 else None


def _interval(
    size: Array, loss: Array, parabola: Array, generator: np.random.Generator
) -> tuple[float, float] | None:
    """Of the lowest point, by losses drawn around the parabola; draws without one are its ends."""
    spare = len(size) - 3
    if spare < 1:
        return None
    fitted = np.polyval(parabola, size)
    noise = np.sqrt(np.sum((loss - fitted) ** 2) / spare)
    found = []
    for _ in range(NUM_DRAWS):
        own = noise * np.sqrt(spare / generator.chisquare(spare))
        drawn = np.polyfit(size, fitted + own * generator.standard_normal(len(size)), 2)
        ends = (size.min(), size.max())
        best = _lowest(drawn)
        place = min(ends, key=lambda end: np.polyval(drawn, end)) if best is None else best
        found.append(np.clip(place, *ends))
    low, high = interval(np.array(found))
    return float(low), float(high)
