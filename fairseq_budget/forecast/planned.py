"""The loss of planned runs, and the size to take: what a law says for a budget, and what not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.budget.parameters import num_encoder_parameters
from fairseq_budget.budget.pilot_grid import FURTHEST, MIN_HEARD
from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading, write_json
from fairseq_budget.forecast.fit import Fit, interval
from fairseq_budget.forecast.law import Array, Law
from fairseq_budget.forecast.points import Amount, Count
from fairseq_budget.forecast.schedule import Expected, Stage, learn_stages
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.report.alike import KINDS
from fairseq_budget.structured import Share, read_json

FORMAT_VERSION = 1
MAX_FACTORS = {"flops": FURTHEST, "parameters": 10.0, "frames": FURTHEST}
"""How far beyond the runs a forecast may go, as a factor on either side.

Runs of 3 % of a budget reach it.
"""
MAX_WIDTH = 0.3  # of an interval, as a share of the loss
FLAT = 0.01  # sizes whose losses are within this share of the best are as good


@dataclass(frozen=True)
class Plan:
    """A run that could be: an encoder by the name that tables give it."""

    name: str
    encoder: EncoderConfig


def read_plan(text: str) -> Plan:
    """A plan by the name of its encoder; raises BudgetError for others (see `find_encoder`)."""
    return Plan(text, find_encoder(text))


@dataclass(frozen=True, kw_only=True)
class PlannedRow:
    """A size at the budget, and the loss that it is expected to end with, of 80 % of such runs.

    `as_good`: within 1 % of the best. `refused` says why there is no forecast.
    """

    size: str
    parameters: int = column("encoder parameters")
    frames: float = column("frames heard")
    audio_hours: float = column("audio (h)", digits=1)
    repetitions: float | None = column("times heard", default=None, digits=2, optional=True)
    loss: float | None = column("expected loss", default=None)
    low: float | None = column("80 % low", default=None)
    high: float | None = column("80 % high", default=None)
    as_good: bool | None = column("within 1 % of the best", default=None, optional=True)
    refused: str | None = column(default=None, optional=True)

    @property
    def expected(self) -> Expected | None:
        """The loss at the end; None where there is no forecast."""
        if self.loss is None or self.low is None or self.high is None:
            return None
        return Expected(self.loss, self.low, self.high)


@dataclass(frozen=True)
class Recommended:
    """The size with the least expected loss.

    `share`: of the laws that the runs allow, for which it is the best one; `low` and `high` are the
    encoder parameters between which the best size lies for 80 % of them. `edge`: whether it is the
    "smallest", "largest" or "only one" of the sizes that have a forecast, so that others may be
    better.
    """

    size: str
    share: Share
    low: Count
    high: Count
    edge: str | None = None


@dataclass(frozen=True)
class Forecast:
    """The content of ``forecast.json``: losses of one objective at one budget."""

    objective: str
    conditions: str
    flops: Amount
    law: Law
    noise: float
    num_runs: Count
    seed: int
    rows: list[PlannedRow]
    recommended: Recommended | None = None
    stages: list[Stage] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    format_version: int = FORMAT_VERSION

    @property
    def recommended_row(self) -> PlannedRow | None:
        """That of the size to take; None where none stands."""
        best = self.recommended
        return next((row for row in self.rows if best and row.size == best.size), None)

    @property
    def guesses_repeats(self) -> bool:
        """Whether a size repeats its corpus so that R* counts, which no run has told."""
        most = max((row.repetitions or 0 for row in self.rows), default=0)
        return not self.law.is_repeats_fitted and most > MIN_HEARD


def forecast(
    found: Fit, plans: Sequence[Plan], *, flops: float, sequence_s: float, hours: float | None
) -> Forecast:
    """What a fit says of these plans for a budget, in sequences of `sequence_s` seconds.

    hours: of audio in the corpus; None: frames that are heard again count as new ones.
    """
    unique = hours * 3600 * FRAME_RATE_HZ if hours else np.inf
    rows = [_bare_row(plan, flops, sequence_s, unique) for plan in plans]
    reasons = [_reason(row, plan, flops, found) for row, plan in zip(rows, plans, strict=True)]
    sizes, frames = (
        np.array([getattr(r, n) for r in rows], float) for n in ("parameters", "frames")
    )
    losses = found.losses(sizes, frames, unique)
    expected, (low, high) = found.law.loss(sizes, frames, unique), found.interval(losses, flops)
    done = [
        _with_loss(row, reason, *map(float, own))
        for row, reason, *own in zip(rows, reasons, expected, low, high, strict=True)
    ]
    standing = np.array([row.refused is None for row in done])
    first = found.points[0]
    return Forecast(
        first.objective,
        first.conditions,
        flops,
        found.law,
        found.noise,
        len(found.points),
        found.seed,
        _with_best(done),
        _recommended(done, losses, standing) if standing.any() else None,
        learn_stages(found.points),
        found.left_out,
    )


def _bare_row(plan: Plan, flops: float, sequence_s: float, unique: float) -> PlannedRow:
    seconds = flops / training_flops_per_second(plan.encoder, sequence_s)
    frames = seconds * FRAME_RATE_HZ
    return PlannedRow(
        size=plan.name,
        parameters=num_encoder_parameters(plan.encoder),
        frames=frames,
        audio_hours=seconds / 3600,
        repetitions=frames / unique if np.isfinite(unique) else None,
    )


def _reason(row: PlannedRow, plan: Plan, flops: float, found: Fit) -> str | None:
    """Why a law says nothing of a plan."""
    encoder, conditions = plan.encoder.resolved(), found.points[0].conditions.split()
    for name, what in KINDS.items():
        own, others = f"model.{name}={getattr(encoder, name)}", f"model.{name}="
        if own not in conditions and any(c.startswith(others) for c in conditions):
            return f"the runs have another {what}"
    planned = {"flops": flops, "parameters": row.parameters, "frames": row.frames}
    return too_far(planned, found)


def too_far(planned: Mapping[str, float], found: Fit) -> str | None:
    """Why a fit says nothing of a run with these `MAX_FACTORS`; None where it may.

    Runs that show no effect of size are asked for sizes among theirs.
    """
    for name, most in MAX_FACTORS.items():
        values = [getattr(point, name) for point in found.points]
        factor = max(planned[name] / max(values), min(values) / planned[name])
        if factor > 1 and name == "parameters" and not found.law.knows_size:
            return (
                f"parameters: the runs show no effect of size, and theirs are {min(values):,} to "
                f"{max(values):,}"
            )
        if factor > most:
            what = "FLOPs" if name == "flops" else name
            return f"{what}: {factor:.3g} times beyond the runs, {most:g} at most"
    return None


def too_wide(loss: float, low: float, high: float) -> str | None:
    """Why an interval is no answer; None where it is one."""
    width = (high - low) / loss
    if width <= MAX_WIDTH:
        return None
    return f"the runs do not tell: 80 % are {width:.0%} wide, {MAX_WIDTH:.0%} at most"


def _with_loss(
    row: PlannedRow, reason: str | None, loss: float, low: float, high: float
) -> PlannedRow:
    reason = reason or too_wide(loss, low, high)
    if reason is not None:
        return replace(row, refused=reason)
    return replace(row, loss=loss, low=min(low, loss), high=max(high, loss))


def _with_best(rows: Sequence[PlannedRow]) -> list[PlannedRow]:
    least = min((row.loss for row in rows if row.loss is not None), default=np.inf)
    return [
        row if row.loss is None else replace(row, as_good=row.loss <= (1 + FLAT) * least)
        for row in rows
    ]


def _recommended(
    rows: Sequence[PlannedRow], losses: Array, standing: NDArray[np.bool_]
) -> Recommended:
    """Of the rows that stand; `losses` (draws, rows)."""
    own = [row for row, stands in zip(rows, standing, strict=True) if stands]
    chosen = losses[:, standing].argmin(axis=1)
    best = min(range(len(own)), key=lambda place: own[place].loss or np.inf)
    low, high = interval(np.array([row.parameters for row in own], float)[chosen])
    share = float(np.mean(chosen == best))
    edge = _edge(own[best].parameters, sorted(row.parameters for row in own))
    return Recommended(own[best].size, share, round(float(low)), round(float(high)), edge)


def _edge(size: int, sizes: Sequence[int]) -> str | None:
    """What the best size is among all, in order, where others beyond it may be better."""
    if len(sizes) == 1:
        return "only one"
    return {sizes[0]: "smallest", sizes[-1]: "largest"}.get(size)


def write_forecast(path: Path, found: Forecast) -> None:
    """Write ``forecast.json``; BudgetError where it holds no forecast."""
    if found.recommended is None:
        reasons = "; ".join(sorted({f"{row.size}: {row.refused}" for row in found.rows}))
        raise BudgetError(f"there is nothing to write into {path}: {reasons}")
    write_json(path, asdict(found))


def read_forecast(path: Path) -> Forecast:
    """The content of a ``forecast.json``; BudgetError for anything else."""
    cure = "make it with `budget-plan forecast RUNS... --flops F --out FILE`"
    with reading(path, cure):
        found: Any = read_json(path, Forecast)
        if found.format_version != FORMAT_VERSION:
            raise ValueError(f"its format is {found.format_version}, expected {FORMAT_VERSION}")
        for row in found.rows:
            _check_row(row)
        _check_stages(found.stages)
        return found


def _check_stages(stages: Sequence[Stage]) -> None:
    shares = [stage.share for stage in stages]
    if shares != sorted(set(shares)) or not all(s.low <= s.ratio <= s.high for s in stages):
        raise ValueError("its stages are not in order, or their intervals upside down")


def _check_row(row: PlannedRow) -> None:
    if not (row.parameters > 0 and row.frames > 0):
        raise ValueError(f"{row.size} has {row.parameters:,} parameters and {row.frames} frames")
    numbers = (row.low, row.loss, row.high)
    known = [number for number in numbers if number is not None]
    if len(known) not in (0, 3) or known != sorted(known) or min(known, default=1) <= 0:
        raise ValueError(f"low, loss and high of {row.size} are {numbers}, expected them in order")
