"""Whether runs of less loss score better downstream, and what a planned run's loss says of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairseq_budget.console.table import column
from fairseq_budget.forecast.fit import NUM_DRAWS, interval
from fairseq_budget.forecast.law import Array
from fairseq_budget.forecast.points import Point

MIN_RUNS = 5
NUM_RESAMPLED = 10 * NUM_DRAWS


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """Spearman's rank correlation of loss and a score, over runs that have both.

    `expected`: the score in per cent at a planned run's loss, by a line through the runs; its
    interval is of a run, the loss being as expected. `refused` says why there is none.
    """

    score: str
    runs: int
    rho: float | None = column("rank correlation with loss", default=None, digits=2)
    low: float | None = column("80 % low", default=None, digits=2)
    high: float | None = column("80 % high", default=None, digits=2)
    expected: float | None = column("expected (%)", default=None, digits=1, optional=True)
    expected_low: float | None = column("80 % low (%)", default=None, digits=1, optional=True)
    expected_high: float | None = column("80 % high (%)", default=None, digits=1, optional=True)
    refused: str | None = column(default=None, optional=True)


def score_rows(points: Sequence[Point], seed: int, loss: float | None = None) -> list[ScoreRow]:
    """A row for each score that some runs have; with what is expected at a `loss`."""
    names = dict.fromkeys(name for point in points for name in point.scores)
    rows = []
    for place, name in enumerate(names):
        own = [point for point in points if name in point.scores]
        pairs = np.array([(point.valid_loss, point.scores[name]) for point in own])
        rows.append(_row(name, pairs, np.random.default_rng([seed, place]), loss))
    return rows


def _row(name: str, pairs: Array, generator: np.random.Generator, loss: float | None) -> ScoreRow:
    if len(pairs) < MIN_RUNS:
        return ScoreRow(score=name, runs=len(pairs), refused=f"expected {MIN_RUNS} runs at least")
    rho = rank_correlation(pairs)
    drawn = (pairs[generator.integers(0, len(pairs), len(pairs))] for _ in range(NUM_RESAMPLED))
    known = [value for value in map(rank_correlation, drawn) if value is not None]
    if rho is None or not known:
        return ScoreRow(score=name, runs=len(pairs), refused="all are the same")
    low, high = map(float, interval(np.array(known)))
    row: dict[str, Any] = {"score": name, "runs": len(pairs), "rho": rho, "low": low, "high": high}
    if loss is None:
        return ScoreRow(**row)
    if low <= 0 <= high:
        return ScoreRow(**row, refused="loss and score may have nothing to do with each other")
    least, most = pairs[:, 0].min(), pairs[:, 0].max()
    if not least <= loss <= most:
        return ScoreRow(**row, refused=f"no run has such a loss: {least:.4g} to {most:.4g}")
    expected, below, above = _at(pairs, loss)
    return ScoreRow(**row, expected=expected, expected_low=below, expected_high=above)


def rank_correlation(pairs: Array) -> float | None:
    """Spearman's, of pairs (runs, 2); None where one of both is the same everywhere.

    >>> round(rank_correlation(np.array([[1.0, 5.0], [2.0, 4.0], [9.0, 1.0]])), 6)
    -1.0
    """
    from scipy.stats import rankdata

    ranks = rankdata(pairs, axis=0)
    if (ranks == ranks[0]).all(axis=0).any():
        return None
    return float(np.corrcoef(ranks.T)[0, 1])


def _at(pairs: Array, loss: float) -> tuple[float, float, float]:
    """A score at a loss, with its low and high: the line of least squares, and Student's t."""
    from scipy.stats import t

    x, y = pairs.T - pairs.mean(axis=0)[:, None]
    slope = (x @ y) / (x @ x)
    away = loss - pairs[:, 0].mean()
    spare = len(pairs) - 2
    noise = np.sqrt(np.sum((y - slope * x) ** 2) / spare)
    half = t.ppf(0.9, spare) * noise * np.sqrt(1 + 1 / len(pairs) + away**2 / (x @ x))
    expected = float(pairs[:, 1].mean() + slope * away)
    return expected, expected - float(half), expected + float(half)
