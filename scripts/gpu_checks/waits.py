"""How often an update makes the host wait for the GPU, by torch's own debug mode."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gpu_checks.registry import Options, Row, check
from gpu_checks.times import PRESETS, STOCK, stock_trainer
from gpu_checks.training import compose, make_trainer

NUM_SHOWN = 4


@check("waits", limit_s=60)
def waits(options: Options) -> Iterator[Row]:
    """Of forward, loss and backward: none; of a whole update by fairseq's trainer, and where."""
    for objective, preset in PRESETS.items():
        cfg = compose(preset, options, options.device, options.precisions[-1])
        trainer, batch = (stock_trainer if objective == STOCK else make_trainer)(cfg)
        trainer.train_step([batch])  # whose first update prepares what stays
        trainer.zero_grad()
        sample, _ = trainer._prepare_sample(batch)
        with counted(options) as of_step:
            trainer.task.train_step(
                sample, trainer.model, trainer.criterion, trainer.optimizer, 1, ignore_grad=False
            )
        with counted(options) as of_update:
            trainer.train_step([batch])
        yield {
            "objective": objective,
            "forward and backward": len(of_step),
            "whole update": len(of_update),
            "where": _most(of_step + of_update),
            "ok": objective == STOCK or not of_step,
        }


@contextlib.contextmanager
def counted(options: Options) -> Iterator[list[str]]:
    """The lines of Python in which the host has waited; none on a CPU."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as warned, _told(options):
        warnings.simplefilter("always")
        yield found
    found += [
        f"{Path(each.filename).name}:{each.lineno}"
        for each in warned
        if "synchronizing" in str(each.message)
    ]


@contextlib.contextmanager
def _told(options: Options) -> Iterator[None]:
    if options.device == "cpu":
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _most(lines: list[str]) -> str:
    counts: list[tuple[Any, int]] = Counter(lines).most_common(NUM_SHOWN)
    return ", ".join(f"{line} x {number}" for line, number in counts)
