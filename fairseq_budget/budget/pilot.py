"""The small runs that a forecast of a large one is fitted on: sizes x budgets, all planned ahead.

Budgets stand in equal ratios between 0.1 % and 3 % of the large run's FLOPs, the largest so near to
it that a forecast may go there. At each of them a few neighbouring sizes are trained, around the
one that is expected to be best; as that one moves slowly, neighbouring budgets share sizes (the
"IsoFLOP profiles" of Hoffmann et al., "Training Compute-Optimal Large Language Models", section
3.2).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from fairseq_budget.budget.families import model_overrides
from fairseq_budget.budget.flops import (
    FLOPS_PER_MAC,
    TRAINING_FACTOR,
    frontend_macs,
    training_flops_per_second,
    updates_for_budget,
)
from fairseq_budget.budget.learning_rates import lr_for
from fairseq_budget.budget.machine import Machine, training_hours
from fairseq_budget.budget.parameters import count_parts
from fairseq_budget.budget.presets import Preset
from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ, SAMPLE_RATE
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.papers.compute_budget import BEST_SIZE, MOST_EPOCHS, PAPER_FLOPS, WARMUP_SHARE

LEAST_SHARE, MOST_SHARE = 0.001, 0.03
"""Of the large run's FLOPs, for one run of the pilot."""

FURTHEST = 40.0
"""How many times the FLOPs of the largest runs a forecast may go."""

LEAST_LARGEST = 1.005 / FURTHEST  # for one run at the largest budget: it may end a little short

SIZES_PER_BUDGET = 4
LEAST_SIZES = 3  # a valley has two sides; so many at the largest budget, which costs most
LEAST_BUDGETS = 3  # a law takes eight runs
MIN_UPDATES = 100  # with fewer, a schedule is warm-up and little else
NUM_VALIDATIONS, NUM_LOGGED = 10, 100  # of each run, so that curves have as many points
NEVER = 1_000_000  # epochs between validations, where updates count


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all runs of a pilot share.

    ``update_s`` is audio in an update over all ``gpus``, ``sequence_s`` the mean sequence,
    ``data_hours`` an epoch. ``max_tokens`` stands for the preset's.
    """

    preset: Preset
    update_s: float
    sequence_s: float
    data_hours: float
    max_tokens: int
    gpus: int = 1
    most_repetitions: float = MOST_EPOCHS

    def flops_per_second(self, encoder: EncoderConfig) -> float:
        """FLOPs to train on a second of audio."""
        return training_flops_per_second(encoder, self.sequence_s)


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
) -> Pilot:
    """The pilot of a run of ``flops`` FLOPs within a share of them, of encoders by their names.

    Raises BudgetError, with what would do, where sizes are too few, the share or the budgets too
    small, or the data so little that the largest run would hear it too often.
    """
    names = _by_cost(encoders, setting)
    if len(names) < LEAST_SIZES:
        raise BudgetError(
            f"--sizes {' '.join(names)}: a valley of losses takes {LEAST_SIZES} sizes at least"
        )
    counts = [min(SIZES_PER_BUDGET, len(names))] * (num_budgets - 1) + [LEAST_SIZES]
    shares = budget_shares(share, [count * len(seeds) for count in counts])
    grid = _Grid(names, encoders, setting, list(zip(shares, counts, strict=True)))
    _check_updates(grid, flops)
    _check_data(grid, flops)
    return _runs(grid, {flops * part: count for part, count in grid.cells}, seeds, machine)


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
    names = _by_cost(encoders, setting)
    grid = _Grid(names, encoders, setting, [(1.0, min(num_sizes, len(names)))])
    _check_updates(grid, flops)
    return _runs(grid, {flops: grid.cells[0][1]}, seeds, machine)


def _by_cost(encoders: Mapping[str, EncoderConfig], setting: Setting) -> list[str]:
    """Names of encoders, the least cost of a second of audio first."""
    return sorted(encoders, key=lambda name: setting.flops_per_second(encoders[name]))


def _runs(
    grid: _Grid, counts: Mapping[float, int], seeds: Sequence[int], machine: Machine | None
) -> Pilot:
    """Runs of so many sizes at each budget."""
    encoders, setting = grid.encoders, grid.setting
    windows = {budget: grid.window(budget, count) for budget, count in counts.items()}
    parameters = {
        name: sum(count_parts(encoders[name], setting.preset.heads))
        for name in sorted({name for window in windows.values() for name in window})
    }
    runs = [
        _run(name, encoders[name], setting, budget, seed, parameters[name], machine)
        for budget, window in windows.items()
        for name, seed in product(window, seeds)
    ]
    beyond = [budget for budget, window in windows.items() if grid.is_beyond(budget, window)]
    return Pilot(runs, beyond)


@dataclass(frozen=True)
class _Grid:
    """Sizes by their cost, least first; the share of any large run and the sizes of each budget."""

    names: Sequence[str]
    encoders: Mapping[str, EncoderConfig]
    setting: Setting
    cells: Sequence[tuple[float, int]]

    def window(self, budget: float, count: int) -> Sequence[str]:
        """The neighbouring sizes that lie best around the expected optimum."""
        each = [excess(self.encoders[name], self.setting, budget) for name in self.names]
        starts = range(len(each) - count + 1)
        start = min(starts, key=lambda start: abs(sum(each[start : start + count])))
        return self.names[start : start + count]

    def is_beyond(self, budget: float, window: Sequence[str]) -> bool:
        """Whether the expected optimum lies outside the sizes at a budget."""
        first, *_, last = (self.encoders[name] for name in window)
        return not excess(first, self.setting, budget) >= 0 >= excess(last, self.setting, budget)

    def fewest_updates(self, flops: float) -> float:
        """Of all runs: those of the largest size at the smallest budget."""
        seconds = self._seconds(flops, *self.cells[0], place=-1)
        return seconds / self.setting.update_s

    def most_hours(self, flops: float) -> float:
        """Of audio, in all runs: what the smallest size hears at the largest budget."""
        return self._seconds(flops, *self.cells[-1], place=0) / 3600

    def _seconds(self, flops: float, share: float, count: int, place: int) -> float:
        budget = flops * share
        encoder = self.encoders[self.window(budget, count)[place]]
        return budget / self.setting.flops_per_second(encoder)


def budget_shares(share: float, counts: Sequence[int]) -> list[float]:
    """Parts of the large run's FLOPs for one run, in equal ratios, smallest first.

    All runs together, as many at each budget as ``counts`` says, take the share; less where the
    largest would be more than `MOST_SHARE`. Raises BudgetError, with the least share that does, if
    forecasts would not go from the largest to the large run.
    """
    if len(counts) < LEAST_BUDGETS:
        raise BudgetError(f"--budgets {len(counts)}: a forecast takes {LEAST_BUDGETS} at least")
    least = _total(LEAST_LARGEST, counts)
    if share < least:
        raise BudgetError(
            f"--share {share:g} is too small: {sum(counts)} runs at {len(counts)} budgets from "
            f"{LEAST_SHARE:.1%} to {LEAST_LARGEST:.1%}, from which a forecast may go so far, take "
            f"{math.ceil(1e4 * least) / 1e4:g}; raise it, or take fewer --budgets or --seeds"
        )
    low, high = LEAST_LARGEST, MOST_SHARE  # of the largest; halved until they meet
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _total(middle, counts) <= share else (low, middle)
    return _geometric(low, len(counts))


def _total(largest: float, counts: Sequence[int]) -> float:
    shares = _geometric(largest, len(counts))
    return sum(share * count for share, count in zip(shares, counts, strict=True))


def _geometric(largest: float, count: int) -> list[float]:
    ratio = largest / LEAST_SHARE
    return [LEAST_SHARE * ratio ** (place / (count - 1)) for place in range(count)]


def excess(encoder: EncoderConfig, setting: Setting, flops: float) -> float:
    """How far a run is from the expected optimum: above 0 it is too small, below too large.

    The logarithm of frames heard per parameter over those of the study's best run, each in relation
    to what is best for the share of the front-end in their costs. A parameter is what costs 6 FLOPs
    a frame behind the front-end.

    A loss that falls as N^-a + D^-a has its least where D / N is in proportion to s^(1/a), s being
    the share of the body, which grows with N, in the cost of a second: where the front-end costs
    most anyway, a larger body is nearly free. 1/a is taken for 3 (Hoffmann et al. found 0.34 and
    0.28 for text): our extrapolation, which only places sizes.
    """
    best = _frames_per_parameter(EncoderConfig(size=BEST_SIZE), 14.0, PAPER_FLOPS)
    return math.log(_frames_per_parameter(encoder, setting.sequence_s, flops) / best)


def _frames_per_parameter(encoder: EncoderConfig, sequence_s: float, flops: float) -> float:
    """Frames heard per parameter, over the third power of the body's share."""
    per_second = training_flops_per_second(encoder, sequence_s)
    macs = frontend_macs(encoder.resolved(), round(sequence_s * SAMPLE_RATE))
    body = per_second - TRAINING_FACTOR * FLOPS_PER_MAC * macs / sequence_s
    parameters = body / (TRAINING_FACTOR * FLOPS_PER_MAC * FRAME_RATE_HZ)
    frames = flops / per_second * FRAME_RATE_HZ
    return float(frames / parameters / (body / per_second) ** 3)


def _run(
    size: str,
    encoder: EncoderConfig,
    setting: Setting,
    flops: float,
    seed: int,
    parameters: int,
    machine: Machine | None,
) -> PilotRun:
    updates = updates_for_budget(
        encoder, flops, seconds_per_update=setting.update_s, sequence_s=setting.sequence_s
    )
    audio_hours = flops / setting.flops_per_second(encoder) / 3600
    run = PilotRun(
        run=f"{re.sub('[:,=]', '-', size)}_{flops:.2e}_seed{seed}".replace("e+", "e"),
        size=size,
        parameters=parameters,
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
    return " ".join(f"{name}={value}" for name, value in words.items())


def _check_updates(grid: _Grid, flops: float) -> None:
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


def _check_data(grid: _Grid, flops: float) -> None:
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
