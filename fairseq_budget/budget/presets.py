"""What presets say of a run, as they stand, and what it costs on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.budget.machine import Machine
from fairseq_budget.budget.objectives import Heads
from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.papers.compute_budget import NUM_CLASSES
from fairseq_budget.structured import conform, read_yaml

_UNCROPPED = 250000  # samples, where a preset crops nothing


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A preset's own values; ``updates`` is None where it counts epochs, lengths are in samples."""

    name: str
    objective: str
    encoder: EncoderConfig
    head: str | None
    num_classes: int | None
    optimizer: str
    lr: float
    updates: int | None
    warmup_updates: int
    update_freq: int
    max_tokens: int
    batch_size: int | None
    multiple: int
    train_subset: str
    max_sample_size: int | None
    min_sample_size: int
    pad_audio: bool

    def update_seconds(self, gpus: int) -> float:
        """Audio in an update on so many GPUs if batches are full."""
        return self.max_tokens * self.update_freq * gpus / SAMPLE_RATE

    @property
    def heads(self) -> Heads:
        """The objective's heads, of 504 classes where labels decide; BudgetError for a student."""
        return Heads(self.objective, self.head or Heads.kind, self.num_classes or NUM_CLASSES)

    @property
    def longest_s(self) -> float:
        """The longest sequence that it trains on."""
        return min(self.max_sample_size or _UNCROPPED, self.max_tokens) / SAMPLE_RATE


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


def read_preset(path: Path) -> Preset:
    """Read one of ours; BudgetError for a file that is none."""
    try:
        return _preset(path.stem, read_yaml(path, dict[str, dict[str, Any]]))
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise BudgetError(
            f"{path} is no preset ({type(error).__name__}: {error}): expected one of examples/"
        ) from error


def preset_cost(path: Path, gpus: int, machine: Machine | None) -> PresetCost:
    """The cost of a preset on so many GPUs (or one CPU); BudgetError for a file that is none.

    Utterances are taken to be as long as they may be; hours are at the machine's measured speed for
    the size, without validation and start.
    """
    preset = read_preset(path)
    update_s, size = preset.update_seconds(gpus), preset.encoder.size
    flops_per_s = training_flops_per_second(preset.encoder, preset.longest_s)
    speed = max((m.flops_per_second for m in _measured(machine, size)), default=None)
    seconds = preset.updates and preset.updates * update_s
    flops = seconds and seconds * flops_per_s
    return PresetCost(
        preset.name,
        size,
        preset.updates,
        update_s,
        seconds and seconds / 3600,
        flops,
        flops / (speed * gpus) / 3600 if flops and speed else None,
    )


def _preset(name: str, sections: dict[str, dict[str, Any]]) -> Preset:
    task, dataset, optimization, model = (
        sections[title] for title in ("task", "dataset", "optimization", "model")
    )
    return Preset(
        name=name,
        objective=conform(model["_name"], str).removeprefix("budget_"),
        encoder=_encoder(model),
        head=conform(model.get("head"), str | None),
        num_classes=conform(model.get("num_classes"), int | None),
        optimizer=conform(sections["optimizer"]["_name"], str),
        lr=conform(optimization["lr"], list[float])[0],
        updates=conform(optimization["max_update"], int) or None,
        warmup_updates=conform(sections["lr_scheduler"].get("warmup_updates", 0), int),
        update_freq=conform(optimization["update_freq"], list[int])[-1],
        max_tokens=conform(dataset["max_tokens"], int),
        batch_size=conform(dataset["batch_size"], int | None),
        multiple=conform(dataset["required_batch_size_multiple"], int),
        train_subset=conform(dataset["train_subset"], str),
        max_sample_size=conform(task["max_sample_size"], int | None),
        min_sample_size=conform(task["min_sample_size"], int),
        pad_audio=conform(task.get("pad_audio", True), bool),
    )


def _encoder(model: Mapping[str, Any]) -> EncoderConfig:
    """What a preset says of its encoder; references are another section's, and left out."""
    names = {field.name for field in fields(EncoderConfig)}
    given = {name: value for name, value in model.items() if name in names and value is not None}
    return EncoderConfig(**{k: v for k, v in given.items() if not str(v).startswith("${")})


def _measured(machine: Machine | None, size: str) -> list[Any]:
    return list(machine.encoders.get(size, {}).values()) if machine else []
