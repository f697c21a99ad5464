"""The table of a sweep: of each task and upstream the score at the best rate, on validation.

Where a task has folds, a score is the mean of theirs. Where nothing is learned, layers are in the
place of learning rates.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fairseq_budget.console.table import column
from fairseq_budget.downstream.overall import Part, overall_scores
from fairseq_budget.downstream.runs import Result
from fairseq_budget.downstream.tasks import TASKS, Metric, Task
from fairseq_budget.papers import compute_budget, sequence_compression
from fairseq_budget.papers.superb import REFERENCE_POINTS

PUBLISHED = {
    "on a compute budget": compute_budget.SUPERB,
    "compressing sequences": sequence_compression.SUPERB,
}

OVERALL = "SUPERB score ↑"

Choice = tuple[float | None, int | None]  # what is swept over: a learning rate, or a layer


@dataclass(frozen=True)
class Cell:
    """A task's score of an upstream, in per cent, at the learning rate that validation chose.

    Where nothing is learned, at the ``layer`` that it chose.
    """

    task: str = column()
    upstream: str = column()
    metric: str = column()
    test_percent: float = column("test (%)", digits=2)
    spread_percent: float | None = column("spread of seeds", digits=2)
    valid_percent: float = column("valid (%)", digits=2)
    learning_rate: float | None = column()
    layer: int | None = column(optional=True)
    num_seeds: int = column("seeds")
    num_folds: int = column("folds")
    sha256: str | None = column("weights")
    command: str = column(hidden=True)
    layer_weights: tuple[float, ...] | None = column(hidden=True)
    others_percent: Mapping[str, float] = column(hidden=True)  # other metrics, on test


def choose(results: Iterable[Result]) -> list[Cell]:
    """The best rate or layer of each task and upstream, by the mean of validation over seeds."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.task, result.upstream), []).append(result)
    return [_best(TASKS[task], task, own) for (task, _), own in groups.items()]


def _best(task: Task, name: str, results: Sequence[Result]) -> Cell:
    sign = 1 if task.metrics[0].higher_is_better else -1
    num_folds, swept = _by_choice(results)
    valid = {choice: statistics.mean(_means(seeds, "valid")) for choice, seeds in swept.items()}
    best = max(valid, key=lambda one: sign * valid[one])
    own = [result for folds in swept[best] for result in folds]
    tests = [100 * test for test in _means(swept[best], "test")]
    first = max(own, key=lambda result: sign * result.valid)
    return Cell(
        name,
        first.upstream,
        task.metrics[0].name,
        statistics.mean(tests),
        statistics.stdev(tests) if len(tests) > 1 else None,
        100 * valid[best],
        *best,
        len(tests),
        num_folds,
        (first.key["checkpoint_sha256"] or "")[:12] or None,
        first.key["command"],
        _mean_of_layers([r.layer_weights for r in own if r.layer_weights]),
        {
            metric.name: 100 * statistics.mean(result.others[metric.name] for result in own)
            for metric in task.metrics[1:]
        },
    )


def _by_choice(results: Sequence[Result]) -> tuple[int, dict[Choice, list[list[Result]]]]:
    """The number of folds, and the seeds of each rate or layer as lists of their folds.

    A seed of which a fold has failed is left out: its mean would be of other data.
    """
    seeds: dict[tuple[Choice, int], list[Result]] = {}
    for result in results:
        choice = (result.learning_rate, result.layer)
        seeds.setdefault((choice, result.seed), []).append(result)
    num_folds = max(map(len, seeds.values()))
    swept: dict[Choice, list[list[Result]]] = {}
    for (choice, _), folds in seeds.items():
        if len(folds) == num_folds:
            swept.setdefault(choice, []).append(folds)
    return num_folds, swept


def _means(seeds: Sequence[Sequence[Result]], part: str) -> list[float]:
    """Of each seed, over its folds."""
    return [statistics.mean(getattr(result, part) for result in folds) for folds in seeds]


def _mean_of_layers(weights: Sequence[Sequence[float]]) -> tuple[float, ...] | None:
    return tuple(map(statistics.mean, zip(*weights, strict=True))) if weights else None


def scores_of(cells: Sequence[Cell]) -> dict[str, dict[Part, float]]:
    """What SUPERB reports of each upstream, on test and in per cent."""
    scores: dict[str, dict[Part, float]] = {}
    for cell in cells:
        known = {**cell.others_percent, cell.metric: cell.test_percent}
        own = {(cell.task, metric.name): known[metric.name] for metric in _reported(cell.task)}
        scores.setdefault(cell.upstream, {}).update(own)
    return scores


def published_scores(tasks: Iterable[str]) -> dict[str, dict[Part, float]]:
    """What the papers printed of some tasks, of each its first metric, as `scores_of` has it."""
    wanted = [(task, _reported(task)[0].name) for task in tasks]
    found = {
        f"{name} ({paper})": {part: scores[part[0]] for part in wanted if part[0] in scores}
        for paper, rows in PUBLISHED.items()
        for name, scores in rows.items()
    }
    return {name: scores for name, scores in found.items() if scores}


def wide_rows(
    cells: Sequence[Cell],
    others: Mapping[str, Mapping[Part, float]] | None = None,
    score_between: Sequence[str] = (),
) -> list[dict[str, str]]:
    """A row for each upstream, a column for each metric, named as SUPERB's tables name it.

    Then rows of `others`, which were not measured here; `score_between` two rows adds SUPERB's
    overall score (see `overall_scores` for what raises).
    """
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    parts = [(task, metric) for task in tasks for metric in _reported(task)]
    measured = scores_of(cells)
    scores = {**measured, **_only(parts, others or {})}
    overall = overall_scores(scores, *score_between) if score_between else None
    spreads = {(cell.upstream, cell.task, cell.metric): cell.spread_percent for cell in cells}
    rows = []
    for name, own in scores.items():
        row, digits = {"upstream": name}, 1 if name in measured else 2
        for task, metric in parts:
            part = (task, metric.name)
            row[_header(task, metric)] = _shown(own.get(part), digits, spreads.get((name, *part)))
        rows.append(row if overall is None else {**row, OVERALL: _shown(overall.get(name), 0)})
    return rows


def _only(
    parts: Sequence[tuple[str, Metric]], others: Mapping[str, Mapping[Part, float]]
) -> dict[str, dict[Part, float]]:
    """Of rows what a table has, which may be less than was asked for: all of a task can fail."""
    wanted = {(task, metric.name) for task, metric in parts}
    kept = {
        name: {part: score for part, score in scores.items() if part in wanted}
        for name, scores in others.items()
    }
    return {name: scores for name, scores in kept.items() if scores}


def _shown(score: float | None, digits: int, spread: float | None = None) -> str:
    if score is None:
        return "-"
    return f"{score:.{digits}f}" + ("" if spread is None else f" ± {spread:.1f}")


def overall_notes(cells: Sequence[Cell], score_between: Sequence[str]) -> list[str]:
    """What a table must say of its overall score."""
    if not score_between:
        return []
    low, high = score_between
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    missing = [task.upper() for task in REFERENCE_POINTS if task not in tasks]
    words = f"0 is {low} and 1000 is {high}, the mean over {', '.join(tasks).upper()}"
    if missing:
        words += f"; the leaderboard's is over ten tasks, {', '.join(missing)} too"
    return [f"SUPERB score: {words} (Feng et al., SUPERB @ SLT 2022)."]


def _reported(task: str) -> tuple[Metric, ...]:
    return TASKS[task].reported


def _header(task: str, metric: Metric) -> str:
    return f"{task.upper()} {metric.name} (%) {'↑' if metric.higher_is_better else '↓'}"
