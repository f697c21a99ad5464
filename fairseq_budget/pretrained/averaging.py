"""Averages of weights: one model out of several moments of a training run.

icefall keeps the mean of all weights since the start as it trains and decodes with the mean between
two epochs, which follows from the means at both: ``task.mean_interval=200`` and `average_running`.
The plain mean of a few checkpoints needs nothing kept: `average_checkpoints`. Means are taken in
float64; tensors that are no floats (counters) are the newest's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading, sha256_file
from fairseq_budget.pretrained.portable import Pretrained, read_pretrained
from fairseq_budget.run.recovery import read_checkpoint
from fairseq_budget.structured import Range, check_entries

State = Mapping[str, Tensor]
MEAN, COUNT = "weights_mean", "weights_count"  # of a run's checkpoints, in their task's state


class RunningMean:
    """The mean of every state that ``update`` has seen, and their number."""

    def __init__(self, mean: State | None = None, count: int = 0) -> None:
        self.mean = dict(mean or {})
        self.count = count

    @torch.no_grad()
    def update(self, state: State) -> None:
        """Take one more state into the mean; BudgetError when it is of another model."""
        self.count += 1
        if self.count == 1:
            self.mean = {name: _copy(value) for name, value in state.items()}
        else:
            share = 1 / self.count
            self.mean = _combine(self.mean, state, lambda mean, x: mean + (x - mean) * share)

    def state_dict(self) -> dict[str, Any]:
        return {MEAN: self.mean, COUNT: self.count}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> RunningMean:
        """Take what state_dict() returned; an empty mean where there was none."""
        return cls(state.get(MEAN), state.get(COUNT, 0))


def mean_between(start: RunningMean, end: RunningMean) -> dict[str, Tensor]:
    """The mean of the states that came after ``start`` and up to ``end``, two means of one run.

    With counts n < m this is (m * end - n * start) / (m - n): icefall's average between two epochs.
    """
    if end.count <= start.count:
        raise BudgetError(
            f"nothing lies between a mean of {start.count} states and one of {end.count}: name "
            "the earlier one first"
        )
    after = end.count / (end.count - start.count)
    if not start.count:
        return end.mean
    return _combine(start.mean, end.mean, lambda old, new: after * new + (1 - after) * old)


def average_checkpoints(paths: Sequence[str | Path]) -> Pretrained:
    """The plain mean of checkpoints of one model, the last of them being the newest.

    Read one at a time, safely (see ``read_pretrained``). Weights keep the newest's type.
    """
    if not paths:
        raise BudgetError("no checkpoint to average: name one at least")
    mean = RunningMean()
    for path in paths:
        newest = read_pretrained(path)
        mean.update(newest.state)
    state = {name: mean.mean[name].to(value.dtype) for name, value in newest.state.items()}
    provenance = {**newest.provenance, "average_of": [_identity(Path(path)) for path in paths]}
    return replace(newest, state=state, provenance=provenance)


def average_running(end: str | Path, start: str | Path | None = None) -> Pretrained:
    """The mean of the weights from checkpoint ``start`` (or the beginning) up to ``end``.

    Both are of one run with ``task.mean_interval``; BudgetError when they hold no running mean.
    """
    paths = [Path(path) for path in (start, end) if path is not None]
    newest = read_pretrained(end)
    means = [_held_mean(path) for path in paths]
    mean = mean_between(means[0] if start is not None else RunningMean(), means[-1])
    state = {name: mean[name].to(value.dtype) for name, value in newest.state.items()}
    provenance = {**newest.provenance, "mean_between": [_identity(path) for path in paths]}
    return replace(newest, state=state, provenance=provenance)


def read_running_mean(path: str | Path) -> RunningMean:
    """The running mean that a fairseq checkpoint of ours holds; an empty one if it holds none."""
    state = read_checkpoint(path).get("task_state", {})
    with reading(f"the running mean in {path}", "take another checkpoint of its folder"):
        check_entries(state, {MEAN: dict[str, Tensor], COUNT: Annotated[int, Range(0, 1 << 62)]})
        return RunningMean.from_state(state)


def _held_mean(path: Path) -> RunningMean:
    read_pretrained(path)  # says what is wrong with the file
    mean = RunningMean() if path.is_dir() else read_running_mean(path)
    if not mean.count:
        raise BudgetError(
            f"{path} holds no running mean of weights: train with task.mean_interval=200, or "
            "average several checkpoints without --running"
        )
    return mean


def _identity(path: Path) -> dict[str, str]:
    file = path / "model.safetensors" if path.is_dir() else path
    return {"checkpoint": path.name, "sha256": sha256_file(file)}


def _copy(value: Tensor) -> Tensor:
    copied = torch.float64 if value.is_floating_point() else value.dtype
    return value.detach().to(copied, copy=True)


def _combine(
    old: State, new: State, formula: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, Tensor]:
    different = sorted(old.keys() ^ new.keys()) or [
        name for name in old if old[name].shape != new[name].shape
    ]
    if different:
        raise BudgetError(
            f"weights of different models cannot be averaged: {', '.join(different[:3])} differ; "
            "average checkpoints of one run"
        )
    return {
        name: formula(old[name].double(), value.detach().double())
        if value.is_floating_point()
        else value.clone()
        for name, value in new.items()
    }
