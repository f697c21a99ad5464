"""What a forecast refuses, and why: runs that do not belong together, too few, or at odds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from fairseq_budget.errors import BudgetError
from fairseq_budget.forecast.law import MIN_SPARE, Law, Sample
from fairseq_budget.forecast.points import Point
from fairseq_budget.report.alike import SAME_BUDGET, chooses_segments, near

MIN_RUNS = 5 + MIN_SPARE  # the law has five parameters
MIN_SIZES, MIN_BUDGETS = 3, 2
UNLEARNED = 0.99  # of the loss of guessing, from which on a run has learned nothing
MAX_RESIDUAL = 0.05  # of log losses, root mean square


def budgets(points: Sequence[Point]) -> list[list[Point]]:
    """Points by budget, from the least; FLOPs of one are `SAME_BUDGET` apart at most."""
    return near(points, lambda point: point.flops, SAME_BUDGET)


def require_alike(points: Sequence[Point]) -> None:
    """Raise BudgetError, with names, for runs whose losses do not compare."""
    first = points[0]
    for other in points[1:]:
        if other.objective != first.objective:
            raise BudgetError(
                f"{first.name} trains {first.objective}, {other.name} {other.objective}: losses "
                "of different objectives do not compare; give the runs of one"
            )
        if apart := differences(first.conditions, other.conditions):
            raise BudgetError(
                f"the losses of {first.name} and {other.name} do not compare: they differ in "
                f"{apart}; give runs that were validated on the same data and labels, by the "
                "same settings"
            )
    if chooses_segments(first.conditions):
        raise BudgetError(
            f"{first.name} has model.subsample=cif: it chooses the segments that its loss is over, "
            "so losses of such runs do not compare"
        )
    _require_one_corpus(points)


def differences(one: str, other: str) -> str:
    """Conditions (see `Point`) in which two differ, with both values; empty: none.

    >>> differences("a=1 b=2", "a=1 b=3 c=4")
    'b (2, 3), c (-, 4)'
    """
    left, right = (dict(word.partition("=")[::2] for word in text.split()) for text in (one, other))
    names = [name for name in sorted({*left, *right}) if left.get(name) != right.get(name)]
    return ", ".join(f"{name} ({left.get(name, '-')}, {right.get(name, '-')})" for name in names)


def _require_one_corpus(points: Sequence[Point]) -> None:
    """Training sets may be subsets of one corpus, of different lengths; not other speech."""
    known = [point for point in points if point.corpus]
    for one, other in pairwise(sorted(known, key=lambda point: point.unique_frames or 0)):
        if one.corpus == other.corpus:
            continue
        sizes = one.unique_frames, other.unique_frames
        if None in sizes or sizes[1] < 1.01 * sizes[0]:  # type: ignore[operator]
            raise BudgetError(
                f"{one.name} and {other.name} were trained on different data (manifests "
                f"{one.corpus}, {other.corpus}) of one length, or of a length that their logs do "
                "not tell (common.log_format=json): expected one corpus, or subsets of it by "
                "`budget-manifest subset`"
            )


def has_learned(point: Point) -> bool:
    """Whether its loss is below that of guessing, or it does not tell.

    A law is of what is learned; before learning begins, losses stand still at that of guessing.
    """
    return (point.unexplained or 0) < UNLEARNED


def require_enough(points: Sequence[Point], left_out: Sequence[str] = ()) -> None:
    """Raise BudgetError for fewer runs than the law's parameters allow; `left_out` are named."""
    reason = "; left out, since they have learned no more than to guess: " if left_out else ""
    reason += ", ".join(left_out)
    found = {
        "budgets": (len(budgets(points)), MIN_BUDGETS),
        "sizes": (len({point.parameters for point in points}), MIN_SIZES),
        "runs": (len(points), MIN_RUNS),
    }
    for what, (number, least) in found.items():
        if number < least:
            raise BudgetError(
                f"{number} {what if number > 1 else what[:-1]} cannot give the five numbers of "
                f"L(N, D): expected {least} {what} at least, of {MIN_SIZES} sizes at "
                f"{MIN_BUDGETS} budgets or more{reason}"
            )


def require_agreement(points: Sequence[Point], law: Law) -> None:
    """Raise BudgetError where the law is none, or runs lie far from it."""
    residuals = np.abs(Sample.of(points).residuals(law))
    worst = sorted(zip(residuals, points, strict=True), key=lambda pair: -pair[0])[:3]
    named = ", ".join(f"{point.name} ({error:.0%})" for error, point in worst)
    if law.is_at_bounds:
        raise BudgetError(
            f"these runs follow no law: its exponents are {law.size_exponent:.3g} of size and "
            f"{law.data_exponent:.3g} of data, at the ends of what is searched; the furthest from "
            f"it: {named}; leave out runs that have not learned, or give more sizes, or budgets "
            "further apart"
        )
    spread = float(np.sqrt(np.mean(residuals**2)))
    if spread > MAX_RESIDUAL:
        raise BudgetError(
            f"these runs do not agree: their losses lie {spread:.1%} from the law, expected "
            f"{MAX_RESIDUAL:.0%} at most; the furthest: {named}; look at their learning rates, and "
            "leave out those that have not learned"
        )
