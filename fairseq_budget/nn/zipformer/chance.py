"""Chance and schedule of one forward pass of the Zipformer, from an explicit generator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, init=False)
class ScheduledFloat:
    """A number that follows training: linear between (adjusted batch count, value) points.

    Constant before the first and after the last point. The adjusted batch count is the number of
    updates times the audio of an update in units of 600 s (k2SSL's recipe).
    """

    points: tuple[tuple[float, float], ...]

    def __init__(self, *points: tuple[float, float]) -> None:
        object.__setattr__(self, "points", points)

    def at(self, batch_count: float) -> float:
        counts, values = zip(*self.points, strict=True)
        return float(np.interp(batch_count, counts, values))


Scheduled = float | ScheduledFloat


class Chance:
    """The randomness of one forward pass in training, and the place of its schedules.

    Decisions on the host and masks on ``device`` come from two streams that are both seeded from
    ``generator`` (a CPU generator; None takes torch's default one), never from global state
    otherwise. Out of training nothing happens and nothing is dropped.
    """

    def __init__(
        self,
        training: bool,
        *,
        batch_count: float = 0.0,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.training = training
        self.batch_count = batch_count
        if training:
            seed = int(torch.randint(2**62, (), generator=generator))
            self._host = random.Random(seed)
            self._device = torch.Generator(device).manual_seed(seed)

    def now(self, value: Scheduled) -> float:
        """The present value of a number that may be scheduled."""
        return value.at(self.batch_count) if isinstance(value, ScheduledFloat) else value

    def happens(self, prob: Scheduled) -> bool:
        """One decision for the whole batch; never in eval."""
        return self.training and self._host.random() < self.now(prob)

    def keep(self, shape: Sequence[int], drop_prob: Scheduled, like: Tensor) -> Tensor | None:
        """A mask of ``shape``, 0 with ``drop_prob`` and else 1; None where nothing is dropped."""
        prob = self.now(drop_prob) if self.training else 0.0
        if prob == 0:
            return None
        drawn = torch.rand(tuple(shape), device=like.device, generator=self._device)
        return (drawn >= prob).to(like.dtype)

    def skip_utterances(self, x: Tensor, prob: Scheduled) -> Tensor:
        """Zero ``x`` (B, T, C) for some utterances; the others are not rescaled."""
        return masked(x, self.keep((x.shape[0], 1, 1), prob, x))

    def dropout(self, x: Tensor, prob: Scheduled) -> Tensor:
        """Dropout as everywhere: zeros with ``prob``, the rest rescaled to the same mean."""
        return masked(x, self.dropout_mask(x.shape, prob, x))

    def dropout_mask(self, shape: Sequence[int], prob: Scheduled, like: Tensor) -> Tensor | None:
        mask = self.keep(shape, prob, like)
        return None if mask is None else mask / (1 - self.now(prob))


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """x times the mask, or x where there is none."""
    return x if mask is None else x * mask


EVAL = Chance(training=False)
