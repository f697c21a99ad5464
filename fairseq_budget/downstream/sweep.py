"""Several tasks, learning rates and seeds: of each task and upstream the best rate, on validation.

As SUPERB does it: each learning rate trains a classifier of its own, validation chooses, and test
is reported at the rate that was chosen. Where a task has folds, a score is the mean of theirs.
Where nothing is learned, layers are in the place of learning rates.
"""

from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

from fairseq_budget.console.table import column
from fairseq_budget.downstream.layout import LAYOUT_FILE, Layout, read_layout
from fairseq_budget.downstream.overall import Part, overall_scores
from fairseq_budget.downstream.runs import OUTPUT_FILE, Protocol, Result, Run, Upstream
from fairseq_budget.downstream.s3prl_process import S3prlProcess
from fairseq_budget.downstream.tasks import TASKS, Metric, Task
from fairseq_budget.errors import BudgetError, expected_one_of
from fairseq_budget.papers import compute_budget, sequence_compression
from fairseq_budget.papers.superb import REFERENCE_POINTS
from fairseq_budget.structured import read_yaml
from fairseq_budget.upstream.experts import require_packages
from fairseq_budget.upstream.launch import find_config

MAX_STEPS = 10  # of a range; more powers of ten are a slip

PUBLISHED = {
    "on a compute budget": compute_budget.SUPERB,
    "compressing sequences": sequence_compression.SUPERB,
}

OVERALL = "SUPERB score ↑"

Choice = tuple[float | None, int | None]  # what is swept over: a learning rate, or a layer


def parse_rates(text: str) -> list[float]:
    """``1e-1:1e-3``, powers of ten from the first to the last; or ``1e-2,3e-3``.

    >>> parse_rates("1e-1:1e-3"), parse_rates("3e-3")
    ([0.1, 0.01, 0.001], [0.003])
    """
    try:
        rates = [float(word) for word in text.replace(":", ",").split(",")]
        if not all(0 < rate < 1e3 for rate in rates):
            raise ValueError
        if ":" in text:
            first, last = rates
            steps = round(math.log10(last / first))
            if abs(steps) > MAX_STEPS:
                raise ValueError
            powers = range(0, steps + 1) if steps > 0 else range(0, steps - 1, -1)
            rates = [float(f"{first * 10.0**power:.6g}") for power in powers]
    except ValueError:
        raise BudgetError(
            f"--lrs {text!r}: expected learning rates such as 1e-1:1e-5 or 1e-2,3e-3"
        ) from None
    return rates


def read_layouts(root: Path, tasks: Sequence[str] | None) -> list[Layout]:
    """The layouts ``root/TASK`` of the tasks, by default of all that there are.

    Raises BudgetError for an unknown task, naming all that are missing, for a layout whose
    recordings have changed or are no longer all there, and for a package that a task needs.
    """
    found = [name for name in TASKS if (root / name / LAYOUT_FILE).is_file()]
    for name in tasks or ():
        if name not in TASKS:
            raise BudgetError(f"--tasks: {name}: {expected_one_of(name, list(TASKS))}")
    missing = [name for name in tasks or () if name not in found]
    if missing or not found:
        first = (missing or list(TASKS))[0]
        raise BudgetError(
            f"{root} has no layout for {', '.join(missing) or 'any task'}: make each with "
            f"budget-downstream layout --task {first} --audio DIR --out {root / first}"
        )
    layouts = [read_layout(root / name) for name in tasks or found]
    for layout in layouts:
        layout.require_sound()
        require_packages(layout.task.downstream)
    return layouts


@dataclass(frozen=True)
class Sweep:
    """All runs of some tasks and upstreams; a row of several checkpoints takes them in turn."""

    layouts: Sequence[Layout]
    rows: Sequence[Sequence[Upstream]]
    rates: Sequence[float]
    num_seeds: int
    folder: Path
    num_updates: int | None = None
    protocol: Protocol = field(default_factory=Protocol)
    keeps_checkpoints: bool = False

    def runs(self) -> list[Run]:
        """Task by task, each with all rows and rates, or layers."""
        return [
            Run(
                layout,
                upstream,
                seed,
                self._folder(layout, upstream, name, seed, fold),
                self.num_updates,
                protocol,
                self.keeps_checkpoints,
                fold,
            )
            for layout in self.layouts
            for row in self.rows
            for name, protocol in self._protocols(layout.task, row)
            for seed, upstream in self._seeds(layout.task, row)
            for fold in layout.folds
        ]

    def _protocols(self, task: Task, row: Sequence[Upstream]) -> Iterator[tuple[str, Protocol]]:
        """What is swept over, each with the name of its folder."""
        if task.learns:
            for rate in self.rates:
                yield f"lr{rate:g}", replace(self.protocol, learning_rate=rate)
            return
        layers = range(row[0].num_hidden_states())
        for layer in layers[-1:] if self.protocol.layers == "last" else layers:
            yield f"layer{layer}", replace(self.protocol, layer=layer, trainable=False)

    def _seeds(self, task: Task, row: Sequence[Upstream]) -> Iterator[tuple[int, Upstream]]:
        """Where nothing is learned, seeds differ by their weights alone: one of each checkpoint."""
        own = task.learns or row[0].untrained
        num_seeds = self.num_seeds if own else min(self.num_seeds, len(row))
        return zip(range(num_seeds), cycle(row), strict=False)

    def _folder(
        self, layout: Layout, upstream: Upstream, name: str, seed: int, fold: int | None
    ) -> Path:
        folder = self.folder / layout.request.task / upstream.name / name / f"seed{seed}"
        return folder / f"fold{fold}" if fold else folder

    def notes(self) -> list[str]:
        """What a table must say of scores that are not a test's at the best of validation."""
        notes = []
        for layout in self.layouts:
            name, task = layout.request.task.upper(), layout.task
            if task.num_folds > 1:
                notes.append(
                    f"{name}: the mean of folds 1 to {task.num_folds}; ± is the spread of seeds, "
                    "each of which is such a mean."
                )
            if not task.learns:
                notes.append(f"{name}: nothing is learned; the layer is chosen on validation.")
            if len(set(task.evaluated)) == 1:
                notes.append(
                    f"{name}: update and learning rate are chosen on test itself, as SUPERB has no "
                    "validation of it."
                )
        return notes


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
    scores = {**measured, **(others or {})}
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


def num_updates(run: Run) -> int:
    """Updates that a run makes: of its overrides, else of its task's configuration."""
    prefix = "config.runner.total_steps="
    given = [f for f in run.arguments()[-1].split(",,") if f.startswith(prefix)]
    if given:
        return int(given[-1].removeprefix(prefix))
    task = run.layout.task
    return int(read_yaml(find_config(task.downstream, task.config))["runner"]["total_steps"])


def seconds_per_update(run: Run, s3prl: S3prlProcess, few: int = 4, more: int = 12) -> float:
    """Measured: the difference of two short runs, without evaluation and without a cache."""
    walls = []
    for steps in (1, few, more):  # the first one pays for starting s3prl
        folder = run.folder.parent / f".trial{steps}"
        trial = replace(run, folder=folder, num_updates=steps, protocol=Protocol(cache_gib=0.0))
        trial.prepare()
        *arguments, fields = trial.arguments()
        fields += ",,config.runner.eval_step=1000000,,config.runner.save_step=1000000"
        start = time.monotonic()
        if s3prl.run([*arguments, fields], folder / OUTPUT_FILE):
            raise BudgetError(f"s3prl failed on {run.layout.folder}; see {folder / OUTPUT_FILE}")
        walls.append(time.monotonic() - start)
        shutil.rmtree(folder)
    return max(0.0, walls[2] - walls[1]) / (more - few)
