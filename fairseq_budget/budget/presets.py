"""What presets cost, as they stand, on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.budget.machine import Machine
from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.structured import conform, read_yaml

_UNCROPPED = 250000  # samples, where a preset crops nothing


@dataclass(frozen=True)
class PresetCost:
    """A preset's run: audio of an update on all GPUs, FLOPs of its encoder, hours if measured.

    Updates are None where it counts epochs, whose length is the data's.
    """

    preset: str = column()
    size: str = column()
    updates: int | None = column()
    update_s: float = column("s of audio in an update", digits=0)
    audio_hours: float | None = column("hours of audio", digits=1)
    flops: float | None = column("FLOPs")
    hours: float | None = column("hours here", digits=2)


def preset_cost(path: Path, gpus: int, machine: Machine | None) -> PresetCost:
    """The cost of a preset on so many GPUs (or one CPU); BudgetError for a file that is none.

    Utterances are taken to be as long as they may be; hours are at the machine's measured speed for
    the size, without validation and start.
    """
    try:
        preset = read_yaml(path, dict[str, Any])
        task, dataset, optimization, model = (
            conform(preset[name], dict[str, Any], name)
            for name in ("task", "dataset", "optimization", "model")
        )
        encoder, updates = _encoder(model), conform(optimization["max_update"], int) or None
        update_s = _update_samples(dataset, optimization) * gpus / SAMPLE_RATE
        longest = min(task["max_sample_size"] or _UNCROPPED, dataset["max_tokens"])
        flops_per_s = training_flops_per_second(encoder, longest / SAMPLE_RATE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BudgetError(
            f"{path} is no preset ({type(error).__name__}: {error}): expected one of examples/"
        ) from error
    size = str(model["size"])
    speed = max((m.flops_per_second for m in _measured(machine, size)), default=None)
    seconds = updates and updates * update_s
    flops = seconds and seconds * flops_per_s
    return PresetCost(
        path.stem,
        size,
        updates,
        update_s,
        seconds and seconds / 3600,
        flops,
        flops / (speed * gpus) / 3600 if flops and speed else None,
    )


def _encoder(model: Mapping[str, Any]) -> EncoderConfig:
    """What a preset says of its encoder; references are another section's, and left out."""
    names = {field.name for field in fields(EncoderConfig)}
    given = {name: value for name, value in model.items() if name in names and value is not None}
    return EncoderConfig(**{k: v for k, v in given.items() if not str(v).startswith("${")})


def _update_samples(dataset: Mapping[str, Any], optimization: Mapping[str, Any]) -> int:
    return conform(dataset["max_tokens"], int) * conform(optimization["update_freq"], list[int])[-1]


def _measured(machine: Machine | None, size: str) -> list[Any]:
    return list(machine.encoders.get(size, {}).values()) if machine else []
