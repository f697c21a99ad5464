"""Runs that differ in the length of their training sequences, and what each length came to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from fairseq_budget.console.table import cell, cells, column
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.report.alike import near
from fairseq_budget.report.curve import objective_loss
from fairseq_budget.report.trained import Trained, trained_row

SAME_LENGTH = 1.1  # mean lengths within this factor are one


@dataclass(frozen=True, kw_only=True)
class LengthRow:
    """A run by the length of its sequences; of memory the least that a GPU has had left."""

    run: str
    objective: str | None
    limits_s: str = column("limits (s)")
    mean_s: float | None = column("mean length (s)", digits=2, optional=True)
    updates: int
    flops: float | None = column("FLOPs", optional=True)
    wall_hours: float | None = column("wall time (h)", digits=2, optional=True)
    free_gib: float | None = column("least memory free (GiB)", digits=1, optional=True)
    valid_loss: float | None = column("validation loss", optional=True)


def length_table(runs: Sequence[Trained]) -> list[dict[str, str]]:
    """Cells by their header, a row for each run of objectives that have several lengths; or none.

    The shortest are first, and scores are columns of their own.
    """
    kinds: dict[str, list[Trained]] = {}
    for run in runs:
        if run.objective is not None:
            kinds.setdefault(run.objective, []).append(run)
    differing = (sorted(kind, key=_length) for kind in kinds.values() if _differ(kind))
    own = list(chain.from_iterable(differing))
    names = dict.fromkeys(name for run in own for name in run.scores)
    return [
        row | {name: cell(run.scores.get(name)) for name in names}
        for row, run in zip(cells(list(map(_row, own))), own, strict=True)
    ]


def _differ(runs: Sequence[Trained]) -> bool:
    """By their settings, or by what they have heard: pieces may be cut before training."""
    heard = [run for run in runs if run.mean_length_s]
    lengths = near(heard, lambda run: run.mean_length_s, SAME_LENGTH)
    return len(set(map(_limits, runs))) > 1 or len(lengths) > 1


def _length(run: Trained) -> tuple[float, float, float]:
    """Seconds that sequences are cropped to, the least that they have, and their mean."""
    low, high = _limits(run)
    return high, low, run.mean_length_s or 0.0


def _limits(run: Trained) -> tuple[float, float]:
    """The least and the most seconds of a sequence, by the run's settings."""
    task = run.provenance.get("task") or {}
    low, high = (task.get(f"{name}_sample_size") for name in ("min", "max"))
    return (low or 0) / SAMPLE_RATE, high / SAMPLE_RATE if high else math.inf


def _row(trained: Trained) -> LengthRow:
    known, log, (low, high) = trained_row(trained), trained.log, _limits(trained)
    free = [record["gb_free"] for record in log.train if "gb_free" in record]
    return LengthRow(
        run=known.run,
        objective=known.objective,
        limits_s=f"{low:.4g} " + (f"to {high:.4g}" if math.isfinite(high) else "or more"),
        mean_s=trained.mean_length_s,
        updates=known.updates,
        flops=known.flops,
        wall_hours=known.wall_hours,
        free_gib=min(free, default=None),
        valid_loss=objective_loss(log.valid[-1]) if log.valid else None,
    )
