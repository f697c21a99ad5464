"""The law that losses follow: L(N, D) = E + A N^-a + B D^-b, fitted to finished runs.

N are the parameters of the encoder, D the frames heard. Hoffmann et al. 2022 ("Training
Compute-Optimal Large Language Models"), approach 3: Huber's loss on log L, by L-BFGS from a grid of
starts. Frames that are heard again count less (Muennighoff et al. 2023, "Scaling Data-Constrained
Language Models", for D; their discount for parameters is left out).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairseq_budget.budget.pilot_grid import MIN_HEARD
from fairseq_budget.forecast.points import Point
from fairseq_budget.report.alike import CORPORA_APART

Array = NDArray[np.float64]

HUBER_DELTA = 1e-3  # Hoffmann's
TYPICAL_REPEATS = 150.0
"""R*, repetitions after which most of their worth is gone, as HuBERT on 0.7 h of speech had it.

TERA's was larger there (docs/forecast.md): masks are others at each repetition. Text that is read
in one way has 15.39 (Muennighoff's R*_D).
"""
EXPONENTS = (0.02, 2.0)  # bounds; a fit that ends there has found no law
NO_EXPONENT = 1.01 * EXPONENTS[0]
AS_NEAR = 1.25  # a law without a term for size, by the root mean square of its residuals
MIN_SPARE = 3  # runs beyond the number of parameters of a law
_STARTS = (0.1, 0.25, 0.5, 1.0)  # exponents of the grid
_REPEATS = (1.0, 1e3)
_VANISHING = 12  # of a term: e^-12 of the smallest loss
_NOTHING = 60  # as much for a term that is left out


@dataclass(frozen=True)
class Law:
    """L = irreducible + size_factor N^-size_exponent + data_factor D'^-data_exponent.

    Of `repeats` = R* see `effective_frames`; `is_repeats_fitted`: by these runs, else typical.
    A size factor of 0: the runs show no effect of size.
    """

    irreducible: float
    size_factor: float
    size_exponent: float
    data_factor: float
    data_exponent: float
    repeats: float = TYPICAL_REPEATS
    is_repeats_fitted: bool = False

    def loss(self, parameters: ArrayLike, frames: ArrayLike, unique: ArrayLike = np.inf) -> Any:
        """Losses of runs, elementwise; `unique` frames are in the corpus, inf: no repetitions."""
        size = np.asarray(parameters, float) ** -self.size_exponent
        data = effective_frames(frames, unique, self.repeats) ** -self.data_exponent
        return self.irreducible + self.size_factor * size + self.data_factor * data

    @property
    def num_parameters(self) -> int:
        """How many numbers were fitted."""
        return 3 + 2 * self.knows_size + self.is_repeats_fitted

    @property
    def knows_size(self) -> bool:
        return self.size_factor > 0

    @property
    def is_at_bounds(self) -> bool:
        """Whether an exponent is as small or as large as a fit may make it."""
        return _is_at_bounds(self.data_exponent) or (
            self.knows_size and _is_at_bounds(self.size_exponent)
        )


def _is_at_bounds(exponent: float) -> bool:
    return exponent < NO_EXPONENT or exponent > 0.99 * EXPONENTS[1]


def effective_frames(frames: ArrayLike, unique: ArrayLike, repeats: float) -> Array:
    """How many new frames are worth what was heard: U + U R* (1 - e^(-R / R*)), R = D / U - 1.

    >>> effective_frames([100.0, 200.0], [np.inf, 100.0], 15.39).round(1).tolist()
    [100.0, 196.8]
    """
    heard, unique = np.asarray(frames, float), np.asarray(unique, float)
    again = np.maximum(heard / unique - 1, 0)
    fresh = np.minimum(heard, unique)
    worth = np.where(again > 0, repeats * -np.expm1(-again / repeats), 0)
    return fresh + fresh * worth


@dataclass(frozen=True)
class Sample:
    """Runs as columns: parameters, frames heard, unique frames (inf: unknown) and log loss."""

    parameters: Array
    frames: Array
    unique: Array
    log_loss: Array

    @classmethod
    def of(cls, points: Sequence[Point]) -> Sample:
        return cls(
            np.array([point.parameters for point in points], float),
            np.array([point.frames for point in points], float),
            np.array([point.unique_frames or np.inf for point in points], float),
            np.log([point.valid_loss for point in points]),
        )

    @property
    def can_tell_repeats(self) -> bool:
        """Whether the runs repeat so differently that R* can be fitted to them."""
        known = self.unique[np.isfinite(self.unique)]
        differ = len(known) > 1 and known.max() > CORPORA_APART * known.min()
        heard = (self.frames / self.unique).max()
        return bool(differ and heard > MIN_HEARD and len(self.frames) >= 6 + MIN_SPARE)

    def around(self, law: Law, errors: Array) -> Sample:
        """The same runs with the law's losses, times e^errors."""
        log_loss = np.log(law.loss(self.parameters, self.frames, self.unique)) + errors
        return replace(self, log_loss=log_loss)

    def residuals(self, law: Law) -> Array:
        """Log loss less the law's, of each run."""
        return self.log_loss - np.log(law.loss(self.parameters, self.frames, self.unique))


def fit_law(sample: Sample, start: Law | None = None) -> Law:
    """The law of a sample, the same each time; from a grid of starts, or from one that is near.

    R* is fitted where the runs tell it (`Sample.can_tell_repeats`, or that of `start`), else it is
    that of `start`, or the typical one. Where the exponent of size would be at its least, the law
    has no term for size; and where at its most, if it is as near without.
    """
    if start:
        problem = _Problem(sample, start.is_repeats_fitted, start.knows_size, start.repeats)
        return problem.law(problem.best([problem.theta(start)]))
    fits_repeats = sample.can_tell_repeats
    problem = _Problem(sample, fits_repeats)
    law = problem.law(problem.best(problem.grid()))
    if not _is_at_bounds(law.size_exponent):
        return law
    problem = _Problem(sample, fits_repeats, fits_size=False)
    without = problem.law(problem.best(problem.grid()))
    is_as_near = _spread(sample, without) <= AS_NEAR * _spread(sample, law)
    return without if law.size_exponent < NO_EXPONENT or is_as_near else law


def _spread(sample: Sample, law: Law) -> float:
    return float(np.sqrt(np.mean(np.square(sample.residuals(law)))))


class _Problem:
    """Log-space parameters theta: log E, log A, a, log B, b, and log R* if that `fits_repeats`.

    A and B are of the mean log N and log D, so that all are of one scale. Without `fits_size`, A
    is nothing.
    """

    def __init__(
        self,
        sample: Sample,
        fits_repeats: bool,
        fits_size: bool = True,
        repeats: float = TYPICAL_REPEATS,
    ) -> None:
        self._sample, self._fits_repeats, self._repeats = sample, fits_repeats, repeats
        self._fits_size = fits_size
        self._size = np.log(sample.parameters)
        self._mean_size, self._mean_data = self._size.mean(), np.log(sample.frames).mean()
        self._size = self._size - self._mean_size
        low, high = sample.log_loss.min(), sample.log_loss.max()
        term, amplitude = (low - _VANISHING, low), (low - _VANISHING, high + 3)
        self._bounds = [term, amplitude, EXPONENTS, amplitude, EXPONENTS]
        if not fits_size:
            self._bounds[1:3] = [(low - _NOTHING,) * 2, (1.0, 1.0)]
        self._bounds += [tuple(np.log(_REPEATS))] * fits_repeats

    def _data(self, repeats: float) -> Array:
        heard = effective_frames(self._sample.frames, self._sample.unique, repeats)
        return np.log(heard) - self._mean_data

    def grid(self) -> list[Array]:
        """For each pair of exponents the best non-negative terms, by linear least squares."""
        from scipy.optimize import nnls

        loss, starts = np.exp(self._sample.log_loss), []
        data = self._data(self._repeats)
        for size_exponent, data_exponent in itertools.product(_STARTS, _STARTS):
            columns = (np.ones_like(data), -size_exponent * self._size, -data_exponent * data)
            terms = np.stack([columns[0], np.exp(columns[1]), np.exp(columns[2])], axis=1)
            found, _ = nnls(terms / loss[:, None], np.ones_like(loss))
            logs = np.log(np.maximum(found, 1e-3 * loss.min()))
            theta = [logs[0], logs[1], size_exponent, logs[2], data_exponent]
            starts.append(np.array(theta + [np.log(self._repeats)] * self._fits_repeats))
        return starts

    def best(self, starts: Sequence[Array]) -> Array:
        """Where the sum of Huber's losses is least, of what is reached from these starts."""
        return min(map(self._minimum, starts), key=lambda found: found[0])[1]

    def _minimum(self, start: Array) -> tuple[float, Array]:
        from scipy.optimize import minimize

        inside = np.clip(start, *np.array(self._bounds).T)
        found = minimize(
            self._value, inside, jac=True, method="L-BFGS-B", bounds=self._bounds,
            options={"maxiter": 2000, "ftol": 1e-14, "gtol": 1e-9},
        )  # fmt: skip
        return float(found.fun), found.x

    def _value(self, theta: Array) -> tuple[float, Array]:
        repeats = np.exp(theta[5]) if self._fits_repeats else self._repeats
        data = self._data(repeats)
        terms = np.exp(
            [
                np.full_like(data, theta[0]),
                theta[1] - theta[2] * self._size,
                theta[3] - theta[4] * data,
            ]
        )
        total = terms.sum(axis=0)
        shares = terms / total
        rows = [shares[0], shares[1], -self._size * shares[1], shares[2], -data * shares[2]]
        if self._fits_repeats:
            rows.append(-theta[4] * shares[2] * self._slope(repeats))
        error = np.log(total) - self._sample.log_loss
        size = np.abs(error)
        is_small = size <= HUBER_DELTA
        value = np.where(is_small, error**2 / 2, HUBER_DELTA * (size - HUBER_DELTA / 2)).sum()
        slope = np.where(is_small, error, HUBER_DELTA * np.sign(error))
        # of the order of one, so that tolerances mean the same for all losses
        return float(value / HUBER_DELTA), np.stack(rows) @ slope / HUBER_DELTA

    def _slope(self, repeats: float) -> Array:
        """Of log D' by log R*."""
        heard, unique = self._sample.frames, self._sample.unique
        again = np.maximum(heard / unique - 1, 0) / repeats
        worth = np.minimum(heard, unique) * repeats * (-np.expm1(-again) - again * np.exp(-again))
        return worth / effective_frames(heard, unique, repeats)

    def law(self, theta: Array) -> Law:
        found = [float(value) for value in theta]
        return Law(
            float(np.exp(found[0])),
            float(np.exp(found[1] + found[2] * self._mean_size)) if self._fits_size else 0.0,
            found[2],
            float(np.exp(found[3] + found[4] * self._mean_data)),
            found[4],
            float(np.exp(found[5])) if self._fits_repeats else self._repeats,
            self._fits_repeats,
        )

    def theta(self, law: Law) -> Array:
        """The inverse of `law`."""
        theta = [
            np.log(law.irreducible),
            np.log(law.size_factor or 1e-300) - law.size_exponent * self._mean_size,
            law.size_exponent,
            np.log(law.data_factor) - law.data_exponent * self._mean_data,
            law.data_exponent,
        ]
        return np.array(theta + [np.log(law.repeats)] * self._fits_repeats)
