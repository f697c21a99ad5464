"""Losses as sums with counts, so that batches, workers and accumulation add up."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LossTerm:
    """A sum over elements (float32, with gradient) and the number of elements; never a mean.

    The count is a tensor where only the device knows it.
    """

    sum: Tensor
    count: Tensor | int

    def mean(self) -> float:
        """Over all elements, on the host; 0 of none."""
        return float(self.sum.detach()) / max(float(self.count), 1.0)
