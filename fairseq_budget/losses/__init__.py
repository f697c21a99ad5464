"""Losses as sums with counts, so that batches, workers and accumulation add up."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LossTerm:
    """A sum over elements (float32, with gradient) and the number of elements; never a mean."""

    sum: Tensor
    count: int
