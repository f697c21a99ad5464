"""The small runs that a forecast of a large one is fitted on: sizes x budgets, planned ahead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from fairseq_budget.budget.families import model_overrides
from fairseq_budget.budget.flops import updates_for_budget
from fairseq_budget.budget.learning_rates import lr_for
from fairseq_budget.budget.machine import Machine, training_hours
from fairseq_budget.budget.parameters import count_parts
from fairseq_budget.budget.pilot_grid import (
    LEAST_SIZES,
    MIN_HEARD,
    MIN_UPDATES,
    SIZES_PER_BUDGET,
    Grid,
    Setting,
    budget_shares,
    by_cost,
)
from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.papers.compute_budget import WARMUP_SHARE

NUM_VALIDATIONS, NUM_LOGGED = 10, 100  # of each run, so that curves have as many points
NEVER = 1_000_000  # epochs between validations, where updates count


@dataclass(frozen=True, kw_only=True)
class PilotRun:
    """A run of the pilot; ``overrides`` make it of the preset, ``hours`` are this machine's."""

    run: str
    size: str
    parameters: int
    flops: float = column("FLOPs")
    updates: int
    audio_hours: float = column("hours of audio", digits=1)
    repetitions: float = column("of the data", digits=2)
    lr: float
    seed: int
    hours: float | None = column("hours here", digits=2)
    overrides: str = column(hidden=True)


@dataclass(frozen=True)
class Pilot:
    """All runs, smallest budget first; budgets at which the best size is expected beyond all."""

    runs: list[PilotRun]
    beyond: list[float]

    @property
    def flops(self) -> float:
        """Of all runs together."""
        return sum(run.flops for run in self.runs)


def design(
    encoders: Mapping[str, EncoderConfig],
    setting: Setting,
    *,
    flops: float,
    share: float,
    num_budgets: int,
    seeds: Sequence[int],
    machine: Machine | None = None,
    subsets: Sequence[Setting] = (),
) -> Pilot:
    """The pilot of a run of ``flops`` FLOPs within a share of them, of encoders by their names.

    On each of the subsets the middle size is trained, too, at the largest budget.

    Raises BudgetError, with what would do, where sizes are too few, the share or the budgets too
    small, a subset too large, or the data so little that the largest run would hear it too often.
    """
    names = by_cost(encoders, setting)
    if len(names) < LEAST_SIZES:
        raise BudgetError(
            f"--sizes {' '.join(names)}: a valley of losses takes {LEAST_SIZES} sizes at least"
        )
    counts = [min(SIZES_PER_BUDGET, len(names))] * (num_budgets - 1) + [LEAST_SIZES]
    cells = [*counts[:-1], counts[-1] + len(subsets)]
    shares = budget_shares(share, [count * len(seeds) for count in cells])
    grid = Grid(names, encoders, setting, list(zip(shares, counts, strict=True)))
    _check_updates(grid, flops)
    _check_data(grid, flops)
    pilot = _runs(grid, {flops * part: count for part, count in grid.cells}, seeds, machine)
    if not subsets:
        return pilot
    largest = flops * shares[-1]
    name = grid.window(largest, counts[-1])[counts[-1] // 2]
    repeated = [
        _run(name, encoders[name], subset, largest, seed, machine)
        for subset, seed in product(subsets, seeds)
    ]
    _check_repeated(repeated)
    return replace(pilot, runs=pilot.runs + repeated)


def held_out(
    encoders: Mapping[str, EncoderConfig],
    setting: Setting,
    *,
    flops: float,
    seeds: Sequence[int],
    machine: Machine | None = None,
    num_sizes: int = LEAST_SIZES,
) -> Pilot:
    """Runs of the sizes around the expected best one at one budget, to try a forecast on."""
    names = by_cost(encoders, setting)
    grid = Grid(names, encoders, setting, [(1.0, min(num_sizes, len(names)))])
    _check_updates(grid, flops)
    return _runs(grid, {flops: grid.cells[0][1]}, seeds, machine)


def _runs(
    grid: Grid, counts: Mapping[float, int], seeds: Sequence[int], machine: Machine | None
) -> Pilot:
    """Runs of so many sizes at each budget."""
    encoders, setting = grid.encoders, grid.setting
    windows = {budget: grid.window(budget, count) for budget, count in counts.items()}
    runs = [
        _run(name, encoders[name], setting, budget, seed, machine)
        for budget, window in windows.items()
        for name, seed in product(window, seeds)
    ]
    beyond = [budget for budget, window in windows.items() if grid.is_beyond(budget, window)]
    return Pilot(runs, beyond)


def _run(
    size: str,
    encoder: EncoderConfig,
    setting: Setting,
    flops: float,
    seed: int,
    machine: Machine | None,
) -> PilotRun:
    updates = updates_for_budget(
        encoder, flops, seconds_per_update=setting.update_s, sequence_s=setting.sequence_s
    )
    audio_hours = flops / setting.flops_per_second(encoder) / 3600
    part = f"_{setting.data_hours:.3g}h" if setting.data else ""
    run = PilotRun(
        run=f"{re.sub('[:,=]', '-', size)}_{flops:.2e}{part}_seed{seed}".replace("e+", "e"),
        size=size,
        parameters=sum(count_parts(encoder, setting.preset.heads)),
        flops=flops,
        updates=updates,
        audio_hours=audio_hours,
        repetitions=audio_hours / setting.data_hours,
        lr=lr_for(setting.preset, encoder),
        seed=seed,
        hours=training_hours(machine, encoder, flops, setting.sequence_s, setting.gpus),
        overrides="",
    )
    return replace(run, overrides=_overrides(run, encoder, setting))


def _overrides(run: PilotRun, encoder: EncoderConfig, setting: Setting) -> str:
    """The line of a sweep; in an epoch nothing is validated, nor saved, but by updates."""
    preset, every = setting.preset, max(1, run.updates // NUM_VALIDATIONS)
    warmup = preset.warmup_updates / preset.updates if preset.updates else WARMUP_SHARE
    words = {
        **model_overrides(encoder, preset.encoder),
        "optimization.max_update": run.updates,
        "optimization.lr": f"[{run.lr:.4g}]",
        "lr_scheduler.warmup_updates": round(warmup * run.updates),
        "task.budget_flops": f"{run.flops:.6g}",
        "dataset.max_tokens": setting.max_tokens,
        "dataset.validate_interval": NEVER,
        "dataset.validate_interval_updates": every,
        "checkpoint.save_interval": NEVER,
        "checkpoint.save_interval_updates": every,
        "common.log_interval": max(1, run.updates // NUM_LOGGED),
        "common.seed": run.seed,
        "checkpoint.save_dir": run.run,
    }
    if setting.data:
        words["task.data"] = setting.data
    return " ".join(f"{name}={value}" for name, value in words.items())


def _check_updates(grid: Grid, flops: float) -> None:
    made = grid.fewest_updates(flops)
    if made >= MIN_UPDATES:
        return
    seconds = grid.setting.max_tokens / SAMPLE_RATE * made / MIN_UPDATES
    enough = flops
    while (then := grid.fewest_updates(enough)) < MIN_UPDATES:  # other sizes are best then
        enough *= 1.01 * MIN_UPDATES / then
    raise BudgetError(
        f"--flops {flops:g}: {grid.cells[0][0]:.1%} of it pays for {made:.3g} updates, expected "
        f"{MIN_UPDATES} at least; give {enough * 1.005:.3g} or more, or --batch-seconds "
        f"{seconds * 0.995:.3g} or less"
    )


def _check_data(grid: Grid, flops: float) -> None:
    setting, most = grid.setting, grid.most_hours(flops)
    if 3600 * setting.data_hours < setting.update_s:
        raise BudgetError(
            f"{3600 * setting.data_hours:.3g} s of data are less than an update of "
            f"{setting.update_s:.3g} s: give more, or fewer --batch-seconds"
        )
    if most > setting.most_repetitions * setting.data_hours:
        raise BudgetError(
            f"{setting.data_hours:.3g} hours of data would be heard "
            f"{most / setting.data_hours:.3g} times by one run, expected "
            f"{setting.most_repetitions:g} at most, beyond which repetition is what decides; give "
            f"{most / setting.most_repetitions * 1.005:.3g} hours or more, a smaller --flops, or a "
            "larger --most-repetitions"
        )


def _check_repeated(runs: Sequence[PilotRun]) -> None:
    most = max(runs, key=lambda run: run.repetitions)
    if most.repetitions < MIN_HEARD:
        raise BudgetError(
            f"--subsets: {most.run} would hear its data {most.repetitions:.3g} times, expected "
            f"{MIN_HEARD} times at least, from which on a forecast is told what repetitions are "
            f"worth; give one of {most.audio_hours / MIN_HEARD:.3g} hours or less "
            "(budget-manifest subset)"
        )
