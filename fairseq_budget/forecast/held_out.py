"""Runs that a fit has not seen, beside what it expected of them: whether a forecast holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairseq_budget.console.table import column
from fairseq_budget.forecast.checks import budgets, require_alike
from fairseq_budget.forecast.fit import Fit
from fairseq_budget.forecast.planned import MAX_FACTORS, too_far, too_wide
from fairseq_budget.forecast.points import Point


@dataclass(frozen=True, kw_only=True)
class HeldOutRow:
    """A run that is finished, and the loss that runs without it have it end with.

    `error`: what it ended with over what was expected, less one. `refused` says why nothing was.
    """

    run: str
    parameters: int = column("encoder parameters")
    flops: float = column("FLOPs")
    beyond: float = column("times the largest", digits=1)
    loss: float
    expected: float | None = None
    low: float | None = column("80 % low", default=None)
    high: float | None = column("80 % high", default=None)
    error: float | None = column(default=None, percent=True)
    inside: bool | None = None
    refused: str | None = column(default=None, optional=True)


def held_out_rows(found: Fit, runs: Sequence[Point]) -> list[HeldOutRow]:
    """A row for each run; BudgetError for runs whose losses do not compare with the fitted ones."""
    require_alike([*found.points, *runs])
    sizes, frames, unique = (
        np.array([getattr(run, name) or np.inf for run in runs], float)
        for name in ("parameters", "frames", "unique_frames")
    )
    expected = found.law.loss(sizes, frames, unique)
    low, high = found.interval(found.losses(sizes, frames, unique), [run.flops for run in runs])
    return [
        _row(found, run, *map(float, own))
        for run, *own in zip(runs, expected, low, high, strict=True)
    ]


def _row(found: Fit, run: Point, expected: float, low: float, high: float) -> HeldOutRow:
    row = HeldOutRow(
        run=run.name,
        parameters=run.parameters,
        flops=run.flops,
        beyond=run.flops / max(point.flops for point in found.points),
        loss=run.valid_loss,
        refused=too_far({name: getattr(run, name) for name in MAX_FACTORS}, found)
        or too_wide(expected, low, high),
    )
    if row.refused:
        return row
    told = {"expected": expected, "low": low, "high": high, "error": row.loss / expected - 1}
    return HeldOutRow(**{**vars(row), **told, "inside": low <= row.loss <= high})


def verdict(rows: Sequence[HeldOutRow], runs: Sequence[Point]) -> str:
    """How many were inside, and what the size expected to be best cost at each budget."""
    told = {row.run: row for row in rows if row.expected is not None}
    lines = [f"{sum(bool(row.inside) for row in told.values())} of {len(told)} inside"]
    if refused := len(rows) - len(told):
        lines[0] += f", {refused} refused"
    for group in budgets(runs):
        known = [told[run.name] for run in group if run.name in told]
        if len(known) > 1:
            taken = min(known, key=lambda row: row.expected or np.inf)
            best = min(group, key=lambda run: run.valid_loss)
            regret = taken.loss / best.valid_loss - 1
            lines.append(
                f"at {group[0].flops:.3g} FLOPs {taken.run} was expected to be best, {best.name} "
                f"was: {regret:.2%} lost"
            )
    return "; ".join(lines)
