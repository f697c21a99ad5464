"""Which sizes at which budgets a pilot is made of: equal ratios of FLOPs, windows of sizes.

Budgets stand between 0.1 % and 3 % of the large run's FLOPs, the largest so near to it that a
forecast may go there. At each of them a few neighbouring sizes are taken, around the one that is
expected to be best; as that one moves slowly, neighbouring budgets share sizes (the "IsoFLOP
profiles" of Hoffmann et al., "Training Compute-Optimal Large Language Models", section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairseq_budget.budget.flops import (
    FLOPS_PER_MAC,
    TRAINING_FACTOR,
    frontend_macs,
    training_flops_per_second,
)
from fairseq_budget.budget.presets import Preset
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ, SAMPLE_RATE
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.papers.compute_budget import BEST_SIZE, MOST_EPOCHS, PAPER_FLOPS

LEAST_SHARE, MOST_SHARE = 0.001, 0.03
"""Of the large run's FLOPs, for one run of the pilot."""

FURTHEST = 40.0
"""How many times the FLOPs of the largest runs a forecast may go."""

LEAST_LARGEST = 1.005 / FURTHEST  # for one run at the largest budget: it may end a little short

MIN_HEARD = 4
"""Times that a subset is heard at the least; to there repetitions cost next to nothing."""

SIZES_PER_BUDGET = 4
LEAST_SIZES = 3  # a valley has two sides; so many at the largest budget, which costs most
LEAST_BUDGETS = 3  # a law takes eight runs
MIN_UPDATES = 100  # with fewer, a schedule is warm-up and little else


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all runs of a pilot share.

    ``update_s`` is audio in an update over all ``gpus``, ``sequence_s`` the mean sequence,
    ``data_hours`` an epoch. ``max_tokens`` stands for the preset's, and so does the folder ``data``
    if there is one.
    """

    preset: Preset
    update_s: float
    sequence_s: float
    data_hours: float
    max_tokens: int
    gpus: int = 1
    most_repetitions: float = MOST_EPOCHS
    data: str | None = None

    def flops_per_second(self, encoder: EncoderConfig) -> float:
        """FLOPs to train on a second of audio."""
        return training_flops_per_second(encoder, self.sequence_s)


def by_cost(encoders: Mapping[str, EncoderConfig], setting: Setting) -> list[str]:
    """Names of encoders, the least cost of a second of audio first."""
    return sorted(encoders, key=lambda name: setting.flops_per_second(encoders[name]))


@dataclass(frozen=True)
class Grid:
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
        first, last = (self.encoders[window[place]] for place in (0, -1))
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
