"""SUPERB's overall score: how far a row is from one row of a table to another, over all tasks.

Feng et al., "SUPERB @ SLT 2022", 2022, for the tasks T, and the metrics I of each:

    1000 / |T| * sum over t of 1 / |I_t| * sum over i of (s(row) - s(low)) / (s(high) - s(low))

so that the low row has 0 and the high one 1000, whether more of a metric is better or less. On
the leaderboard low is log-mel, and high the best of its first year (papers/superb.py); here they
are these two, or any two rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean

from fairseq_budget.errors import BudgetError, expected_one_of
from fairseq_budget.papers.superb import REFERENCE_POINTS

Part = tuple[str, str]  # a task and a metric of it
Scores = Mapping[Part, float]

LEADERBOARD_ENDS = ("log-mel (leaderboard)", "best (leaderboard)")


def leaderboard_rows(tasks: Iterable[str]) -> dict[str, Scores]:
    """The leaderboard's own two ends of some tasks, as rows of a table, in per cent.

    Raises BudgetError for a task that it has not.
    """
    tasks = list(tasks)
    for task in tasks:
        if task not in REFERENCE_POINTS:
            raise BudgetError(
                f"--leaderboard-score: {task}: {expected_one_of(task, list(REFERENCE_POINTS))}; "
                "leave it out with --tasks"
            )
    return {
        name: {
            (task, metric): ends[index]
            for task in tasks
            for metric, ends in REFERENCE_POINTS[task].items()
        }
        for index, name in enumerate(LEADERBOARD_ENDS)
    }


def overall_scores(table: Mapping[str, Scores], low: str, high: str) -> dict[str, float]:
    """The score of each row that has all that any row has; others are left out.

    Raises BudgetError where `low` or `high` is no row, lacks a score, or both have the same one.
    """
    require_rows((low, high), table)
    parts = list(dict.fromkeys(part for scores in table.values() for part in scores))
    for task, metric in parts:
        own = [table[name].get((task, metric)) for name in (low, high)]
        if None in own or own[0] == own[1]:
            raise BudgetError(
                f"--score-between {low} {high}: of {task}'s {metric} they have "
                f"{' and '.join('none' if score is None else f'{score:g}' for score in own)}, "
                "expected two numbers; name two other rows, or leave tasks out with --tasks"
            )
    whole = {name: scores for name, scores in table.items() if scores.keys() >= set(parts)}
    return {name: _overall(scores, table[low], table[high]) for name, scores in whole.items()}


def require_rows(names: Iterable[str], rows: Iterable[str]) -> None:
    """Raise BudgetError for a name that no row of the table has."""
    rows = list(rows)
    for name in names:
        if name not in rows:
            raise BudgetError(f"--score-between: {name}: {expected_one_of(name, rows)}")


def _overall(scores: Scores, low: Scores, high: Scores) -> float:
    """Of a row with all parts of `low` and `high`."""
    shares: dict[str, list[float]] = defaultdict(list)
    for part, bottom in low.items():
        shares[part[0]].append((scores[part] - bottom) / (high[part] - bottom))
    return 1000 * fmean(map(fmean, shares.values()))
