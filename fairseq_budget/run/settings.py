"""Differences between a restart's settings and those of the checkpoint that it starts from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import TRAINING_FIELDS, EncoderConfig

Settings = Mapping[str, Mapping[str, Any]]  # section to field to value: fairseq's whole config

_ENCODER = {field.name for field in fields(EncoderConfig)}
_PRECISION = ("fp16", "bf16", "amp", "memory_efficient_fp16", "memory_efficient_bf16")
_COMPARED: dict[str, tuple[str, ...] | None] = {  # fields of a section; None: all of them
    "model": None,
    "task": None,
    "criterion": None,
    "optimizer": None,
    "lr_scheduler": None,
    "optimization": ("lr", "update_freq", "clip_norm", "sentence_avg"),
    "dataset": ("train_subset", "max_tokens", "batch_size", "required_batch_size_multiple"),
    "distributed_training": ("distributed_world_size",),
    "common": ("seed", *_PRECISION),
}
_NUM_BATCHES = ("optimization.update_freq", "distributed_training.distributed_world_size")
_FREE = {  # repeat another section's field, follow from others, or only say where a run ends
    *("task.seed", "task.max_update", "model.seed", "optimizer.lr", "lr_scheduler.lr"),
    *("model.batch_seconds_per_update", "task.user_dir", "task.budget_flops"),
    *("task.max_bad_share", "task.on_trouble"),
}
_RESETS = {  # what begins anew by a setting, and so may be another without a word
    "reset_optimizer": {
        *("optimizer", "criterion", "lr_scheduler", "optimization", "distributed_training"),
        *_PRECISION,
    },
    "reset_lr_scheduler": {"lr_scheduler"},
    "reset_dataloader": {"task", "dataset", "seed"},
}


def check_restart(path: object, saved: Settings, now: Settings, *, anew: bool = False) -> list[str]:
    """Warnings, one for each field that may differ from the checkpoint's and does.

    Raises BudgetError that names the fields with which its weights or optimizer cannot go on.
    `anew`: only weights are taken, as if all of checkpoint.reset_* were set.
    """
    changed = differences(saved, now, anew=anew)
    stops = [name for name in changed if _stops(name, saved, now)]
    if stops:
        listed = ", ".join(f"{name}={changed[name][1]} (was {changed[name][0]})" for name in stops)
        is_model = any(name.startswith(("model.", "task.")) for name in stops)
        reset = "" if is_model else ", set checkpoint.reset_optimizer=true"
        raise BudgetError(
            f"{path} cannot go on with {listed}: set back what differs{reset}, or begin anew in "
            "another checkpoint.save_dir"
        )
    return [
        f"{name}={new}, but {path} was made with {old}"
        + (", which stays (see checkpoint.optimizer_overrides)" * name.startswith("optimizer."))
        for name, (old, new) in changed.items()
    ]


def differences(
    saved: Settings, now: Settings, *, anew: bool = False
) -> dict[str, tuple[Any, Any]]:
    """(saved, present) values of every field that differs and matters, by its full name."""
    resets = (names for key, names in _RESETS.items() if anew or now["checkpoint"].get(key))
    ignored = set().union(*resets)
    found = {}
    for section, names in _COMPARED.items():
        old, new = dict(saved.get(section) or {}), dict(now.get(section) or {})
        if section == "model":
            old, new = _comparable(old, new)
        for name in old.keys() & new.keys() if names is None else names:
            is_free = f"{section}.{name}" in _FREE or not ignored.isdisjoint({section, name})
            if not is_free and not _same(old.get(name), new.get(name)):
                found[f"{section}.{name}"] = (old.get(name), new.get(name))
    if _num_batches(saved) == _num_batches(now):
        found = {name: values for name, values in found.items() if name not in _NUM_BATCHES}
    return dict(sorted(found.items()))


def _num_batches(settings: Settings) -> list[int]:
    """Batches of an update by epoch: two processes make the updates of one that accumulates two."""
    num_processes = settings["distributed_training"]["distributed_world_size"]
    return [num_processes * each for each in settings["optimization"]["update_freq"]]


def _comparable(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Models without what fairseq fills in later, and without dimensions that a size implies."""
    filled_in = {name for name, value in new.items() if value is None} - _ENCODER
    if new.get("pretrained") is not None:
        filled_in |= _ENCODER - set(TRAINING_FIELDS)
    elif old.get("size") != new.get("size"):
        filled_in |= {name for name in _ENCODER if old.get(name) is None and new.get(name) is None}
    return tuple(  # type: ignore[return-value]
        {
            name: value
            for name, value in {**model, **_encoder(model)}.items()
            if name not in filled_in
        }
        for model in (old, new)
    )


def _encoder(model: Mapping[str, Any]) -> dict[str, Any]:
    return asdict(EncoderConfig.from_dict(dict(model)).resolved())


def _stops(name: str, saved: Settings, now: Settings) -> bool:
    """Whether weights or the optimizer's state do not go on when this field differs."""
    section, _, field = name.partition(".")
    if field == "_name":
        return section != "lr_scheduler"
    if field in _PRECISION:
        return _optimizer_kind(saved["common"]) != _optimizer_kind(now["common"])
    return section == "model" and field in _ENCODER - set(TRAINING_FIELDS)


def _optimizer_kind(common: Mapping[str, Any]) -> str:
    """The one of fairseq's wrappers that keeps the optimizer's state."""
    if common.get("fp16") or common.get("bf16"):
        efficient = common.get("memory_efficient_fp16") or common.get("memory_efficient_bf16")
        return "memory-efficient" if efficient else "half"
    return "amp" if common.get("amp") else "single"


def _same(old: Any, new: Any) -> bool:
    """Equal, or two spellings of one path."""
    if isinstance(old, str) and isinstance(new, str):
        return os.path.realpath(old) == os.path.realpath(new)
    return bool(old == new)
