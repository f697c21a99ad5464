"""A law with its uncertainty: what other losses of the same runs would have told.

Losses are drawn anew around the law, with the noise that the runs show, and fitted again. Runs
themselves are not drawn: with eight or twelve of them a draw often lacks a size or a budget, and
tells the law no more. Beyond the runs a law may bend, which none of them can tell: losses drift
from it the further, the more FLOPs lie between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from fairseq_budget.forecast.checks import (
    MIN_RUNS,
    budgets,
    has_learned,
    require_agreement,
    require_alike,
    require_enough,
)
from fairseq_budget.forecast.law import TYPICAL_REPEATS, Array, Law, Sample, fit_law
from fairseq_budget.forecast.points import Point

INTERVAL = 0.8  # of all intervals: a tenth lies below, a tenth above
NUM_DRAWS = 200
LEAST_DRIFT = 0.015
"""Of log losses for each e-fold of FLOPs beyond the runs, as those of docs/forecast.md show it."""
REPEATS_SPREAD = 1.4  # of log R*, where it is the typical one: 80 % within a factor of six


@dataclass(frozen=True)
class Fit:
    """A law, and the laws and noises (standard deviations of log losses) that could be as well.

    `hindcast`: how far the runs of the largest budget are from a law of the others, root mean
    square of log losses for each e-fold of FLOPs between; None where the others are too few.
    `left_out`: names of runs that have learned nothing.
    """

    points: list[Point]
    law: Law
    noise: float
    drawn: list[tuple[Law, float]]
    seed: int
    hindcast: float | None
    left_out: list[str]

    def losses(self, parameters: ArrayLike, frames: ArrayLike, unique: ArrayLike) -> Array:
        """Losses (draws, runs) of planned runs (runs,), without the noise of a single run."""
        return np.stack([law.loss(parameters, frames, unique) for law, _ in self.drawn])

    def interval(self, losses: Array, flops: ArrayLike) -> tuple[Array, Array]:
        """Low and high (runs,) of the loss that a run will have, of `losses` (draws, runs).

        flops: of these runs (runs,), or of all of them.
        """
        generator = np.random.default_rng([self.seed, 1])
        noise = np.array([noise for _, noise in self.drawn])[:, None]
        errors = noise * generator.standard_normal(losses.shape)
        drift = max(LEAST_DRIFT, self.hindcast or 0) * self._folds_beyond(flops)
        errors += drift * generator.standard_normal((len(losses), 1))  # sizes drift together
        return interval(losses * np.exp(errors))

    def _folds_beyond(self, flops: ArrayLike) -> Array:
        """Powers of e between these FLOPs and those of the runs; 0 among them."""
        own = [point.flops for point in self.points]
        above, below = np.divide(flops, max(own)), np.divide(min(own), flops)
        return np.log(np.maximum(1, np.maximum(above, below)))


def fit(points: Sequence[Point], seed: int, num_draws: int = NUM_DRAWS) -> Fit:
    """The law of runs, the same for the same seed.

    Raises BudgetError for runs that do not belong together, are too few, or do not agree.
    """
    require_alike(points)
    left_out = [point.name for point in points if not has_learned(point)]
    points = list(filter(has_learned, points))
    require_enough(points, left_out)
    sample = Sample.of(points)
    law = fit_law(sample)
    require_agreement(points, law)
    spare = len(points) - law.num_parameters
    noise = float(np.sqrt(np.sum(sample.residuals(law) ** 2) / spare))
    generator = np.random.default_rng([seed, 0])
    drawn = [_draw(sample, law, noise, spare, generator) for _ in range(num_draws)]
    return Fit(points, law, noise, drawn, seed, hindcast(points), left_out)


def hindcast(points: Sequence[Point]) -> float | None:
    """The law tried on the largest budget of the runs themselves (see `Fit`)."""
    *others, largest = budgets(points)
    known = [point for group in others for point in group]
    if len(known) < MIN_RUNS:
        return None
    errors = Sample.of(largest).residuals(fit_law(Sample.of(known)))
    folds = np.log([point.flops / max(other.flops for other in known) for point in largest])
    return float(np.sqrt(np.mean((errors / folds) ** 2)))


def _draw(
    sample: Sample, law: Law, noise: float, spare: int, generator: np.random.Generator
) -> tuple[Law, float]:
    """Another law, from losses around this one; the noise itself is known from `spare` runs only.

    At the least it is a part in 10^6, below which a fit says nothing. A typical R* is drawn, too.
    """
    if not law.is_repeats_fitted:
        repeats = TYPICAL_REPEATS * np.exp(REPEATS_SPREAD * generator.standard_normal())
        law = replace(law, repeats=float(repeats))
    own = max(noise, 1e-6) * np.sqrt(spare / generator.chisquare(spare))
    errors = own * generator.standard_normal(len(sample.log_loss))
    return fit_law(sample.around(law, errors), law), float(own)


def interval(values: Array) -> tuple[Array, Array]:
    """Low and high of draws (draws, ...), of which the share `INTERVAL` lies between."""
    low, high = np.quantile(values, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=0)
    return low, high
