"""How well boundaries agree with true ones, within 20 ms.

A boundary is found if a hypothesised one lies within the tolerance; each serves once. The R-value
(Räsänen, Laine and Altosaar, "An Improved Speech Segmentation Quality Measure: the R-value",
Interspeech 2009) also pays for over-segmentation, which F1 rewards: boundaries all over the place
find every true one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from fairseq_budget.errors import BudgetError

TOLERANCE_S = 0.02
_ROUNDING_S = 1e-6  # frames are multiples of 20 ms, which are no binary fractions


@dataclass(frozen=True)
class BoundaryScore:
    """Counts of boundaries, which add up over utterances; figures are of the sums."""

    num_hits: int = 0
    num_hypothesised: int = 0
    num_true: int = 0

    def __add__(self, other: BoundaryScore) -> BoundaryScore:
        return BoundaryScore(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def precision(self) -> float:
        return self.num_hits / max(self.num_hypothesised, 1)

    @property
    def recall(self) -> float:
        return self.num_hits / max(self.num_true, 1)

    @property
    def f1(self) -> float:
        return 2 * self.num_hits / max(self.num_hypothesised + self.num_true, 1)

    @property
    def over_segmentation(self) -> float:
        """How many more boundaries there are than true ones, as a share of these."""
        if not self.num_true:
            raise BudgetError("there are no true boundaries to score against; give longer speech")
        return self.num_hypothesised / self.num_true - 1

    @property
    def r_value(self) -> float:
        """1 for the true boundaries, lower for too few, too many or misplaced ones; may be < 0."""
        missed, over = 1 - self.recall, self.over_segmentation
        return 1 - (math.hypot(missed, over) + abs(missed + over) / math.sqrt(2)) / 2


def score_boundaries(
    hypothesis_s: Sequence[float], reference_s: Sequence[float], tolerance_s: float = TOLERANCE_S
) -> BoundaryScore:
    """Score one utterance: both in seconds, in order, without the utterance's start and end.

    The matching is the largest one: in the order of time, each true boundary takes the first
    hypothesised one within the tolerance that none before has taken.
    """
    num_hits = place = 0
    for boundary in reference_s:
        while place < len(hypothesis_s) and hypothesis_s[place] < boundary - _reach(tolerance_s):
            place += 1
        if place < len(hypothesis_s) and hypothesis_s[place] <= boundary + _reach(tolerance_s):
            num_hits += 1
            place += 1
    return BoundaryScore(num_hits, len(hypothesis_s), len(reference_s))


def _reach(tolerance_s: float) -> float:
    return tolerance_s + _ROUNDING_S
