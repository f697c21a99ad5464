"""Lines of runs that differ in one thing: the size of their encoder, or the length of their corpus.

The runs of a line have one objective, one budget, and losses that compare; of those that differ in
nothing that is drawn, as seeds do, a line has the mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

from fairseq_budget.errors import BudgetError
from fairseq_budget.report.alike import CORPORA_APART, SAME_BUDGET, chooses_segments, near
from fairseq_budget.report.trained import Trained

LOSS = "validation loss"
Steps = list[list[Trained]]  # runs of one line, by what they are drawn over


@dataclass(frozen=True)
class Axis:
    """A number that runs differ in; within the factor `apart` it is the same.

    `of` a run gives it, or None where it is not known; `shown` has it in the name of a line.
    """

    title: str
    of: Callable[[Trained], float | None]
    apart: float
    shown: Callable[[float], str]


SIZE = Axis(
    "encoder parameters",
    lambda run: run.encoder_parameters,
    1.0,
    lambda number: f"{number / 1e6:.3g}M parameters",
)
HOURS = Axis(
    "hours of audio in the corpus",
    lambda run: run.corpus_hours,
    CORPORA_APART,
    lambda number: f"{number:.3g} h",
)


@dataclass(frozen=True)
class Line:
    """Its name, the runs of it as (x, y, name), and the means through which it goes, as (x, y)."""

    name: str
    runs: list[tuple[float, float, str]]
    means: list[tuple[float, float]]


def panels(runs: Sequence[Trained], along: Axis, held: Axis) -> dict[str, list[Line]]:
    """Lines along one axis, each of one value of the other, by the name of what is drawn.

    That is the loss after the last update, without penalties, and scores in per cent. Runs that are
    not finished are left out, and names of which nothing is to be compared.
    """
    known = list(filter(_is_known, runs))
    names = dict.fromkeys(chain.from_iterable(map(_outcomes, known)))
    found = {name: _lines(known, name, along, held) for name in names}
    return {name: lines for name, lines in found.items() if lines}


def _is_known(run: Trained) -> bool:
    """Whether it is finished, has counted its FLOPs, and says which encoder it has."""
    with suppress(BudgetError):
        return run.is_finished and _flops(run) > 0 and run.encoder_parameters > 0
    return False


def _flops(run: Trained) -> float:
    return run.counted("flops") or 0.0


def _outcomes(run: Trained) -> dict[str, float]:
    """What a run is judged by; without a loss that is of segments which it has chosen itself."""
    loss = run.final_loss
    if loss is None or not math.isfinite(loss) or chooses_segments(run.conditions):
        return run.scores
    return {LOSS: loss, **run.scores}


def _lines(runs: Sequence[Trained], name: str, along: Axis, held: Axis) -> list[Line]:
    drawn = [run for run in runs if name in _outcomes(run) and along.of(run) is not None]
    found = list(_alike(drawn, along, held))
    return [_line(steps, name, along, _name(steps, found, held)) for steps in found]


def _alike(runs: Sequence[Trained], along: Axis, held: Axis) -> Iterator[Steps]:
    """Runs of one line each, if that has two steps at least."""
    kinds: dict[tuple[str | None, str], list[Trained]] = {}
    for run in runs:
        kinds.setdefault((run.objective, run.conditions), []).append(run)
    for kind in kinds.values():
        for budget in near(kind, _flops, SAME_BUDGET):
            for own in near(budget, held.of, held.apart):
                if len(steps := near(own, along.of, along.apart)) > 1:
                    yield steps


def _line(steps: Steps, name: str, along: Axis, title: str) -> Line:
    drawn = [[(along.of(run) or 0.0, _outcomes(run)[name], run.name) for run in s] for s in steps]
    means = [(fmean(x for x, _, _ in step), fmean(y for _, y, _ in step)) for step in drawn]
    return Line(title, list(chain.from_iterable(drawn)), means)


def _name(steps: Steps, found: Sequence[Steps], held: Axis) -> str:
    """Objective, budget and what else is held; and in which conditions its objective's differ."""
    runs = list(chain.from_iterable(steps))
    first, values = runs[0], [value for run in runs if (value := held.of(run)) is not None]
    others = [own[0][0] for own in found if own[0][0].objective == first.objective]
    common = set.intersection(*(set(other.conditions.split()) for other in others))
    parts = [str(first.objective), f"{fmean(map(_flops, runs)):.3g} FLOPs"]
    parts += [held.shown(fmean(values))] if values else []
    return ", ".join([*parts, *(own for own in first.conditions.split() if own not in common)])
