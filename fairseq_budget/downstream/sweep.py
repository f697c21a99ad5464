"""The runs of several tasks, upstreams, learning rates and seeds.

As SUPERB does it: each learning rate trains a classifier of its own, validation chooses, and test
is reported at the rate that was chosen (superb_table.py). Where nothing is learned, layers are in
the place of learning rates.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

from fairseq_budget.downstream.layout import LAYOUT_FILE, Layout, read_layout
from fairseq_budget.downstream.runs import OUTPUT_FILE, Protocol, Run, Upstream
from fairseq_budget.downstream.s3prl_process import S3prlProcess
from fairseq_budget.downstream.tasks import TASKS, Task
from fairseq_budget.errors import BudgetError, expected_one_of
from fairseq_budget.structured import read_yaml
from fairseq_budget.upstream.experts import require_packages
from fairseq_budget.upstream.launch import find_config

MAX_STEPS = 10  # of a range; more powers of ten are a slip


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
        depths = [upstream.num_hidden_states() for upstream in row]
        if len(set(depths)) > 1:
            raise BudgetError(
                f"--upstream {row[0].name}: its checkpoints have {', '.join(map(str, depths))} "
                "hidden states, expected as many each; give them rows of their own"
            )
        layers = range(depths[0])
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
                layer = (
                    "the last layer"
                    if self.protocol.layers == "last"
                    else ("the layer is chosen on validation")
                )
                notes.append(f"{name}: nothing is learned; {layer}.")
            if len(set(task.evaluated)) == 1:
                notes.append(
                    f"{name}: update and learning rate are chosen on test itself, as SUPERB has no "
                    "validation of it."
                )
        return notes


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
