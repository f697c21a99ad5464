"""Words for settings that fairseq or Hydra refuse: one line with the nearest right word."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.initialize import add_defaults
from fairseq.models import (
    ARCH_MODEL_REGISTRY,
    MODEL_DATACLASS_REGISTRY,
    MODEL_REGISTRY,
    import_models,
)
from fairseq.registry import REGISTRIES
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY, import_tasks
from hydra.errors import CompactHydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

import fairseq_budget
from fairseq_budget.errors import BudgetError, did_you_mean
from fairseq_budget.launch.presets import kind_of

SECTIONS = ("task", "model", "criterion", "optimizer", "lr_scheduler")  # whose kind is chosen
NEAR = 0.6  # of 1: how alike words are, as difflib's close matches have it


def register() -> None:
    """Do what `import_user_module` leaves out if the package has been imported, as it has here."""
    package = Path(fairseq_budget.__file__).parent
    import_tasks(str(package / "tasks"), "fairseq_budget.tasks")
    import_models(str(package / "models"), "fairseq_budget.models")


def check(cfg: Any) -> None:
    """Complete fairseq's whole config, as its `main` does; what it names must be registered.

    Raises BudgetError for an unknown kind or field, a wrong type and a missing value.
    """
    for section in SECTIONS:
        kind, known = kind_of(cfg, section), _kinds(section)
        if kind is not None and kind not in known:
            raise BudgetError(f"there is no {section}._name={kind}{did_you_mean(kind, known)}")
    try:
        add_defaults(cfg)
    except OmegaConfBaseException as error:
        raise BudgetError(explain(error)) from error
    for rate in OmegaConf.select(cfg, "optimization.lr") or ():
        if not 0 <= rate < math.inf:
            raise BudgetError(f"optimization.lr={rate}: expected a finite number from 0")
    for name in sorted(OmegaConf.missing_keys(cfg)):
        if str(kind_of(cfg, name.partition(".")[0])).startswith("budget_"):  # others may not ask
            raise BudgetError(f"{name} is not set: add {name}=VALUE")


def told(run: Callable[[], Any]) -> Any:
    """Return what `run` returns; end the program with the reason if Hydra refuses settings."""
    try:
        return run()
    except (CompactHydraException, OmegaConfBaseException) as error:
        register()
        sys.exit(f"fairseq-hydra-train: error: {explain(error)}")


def explain(error: BaseException) -> str:
    """A refusal of Hydra or OmegaConf in one line."""
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override!r} cannot be read: write FIELD=VALUE without spaces around '='; "
            "a VALUE with spaces or signs needs quotes of its own: 'FIELD=\"VALUE\"'"
        )
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if not isinstance(cause, OmegaConfBaseException):
        words = " ".join(str(error).split()).partition(" To append to your default list")[0]
        return f"{words} (one setting is SECTION.FIELD=VALUE: model.size=small)"
    name = _full_name(cause)
    if isinstance(cause, (ConfigKeyError, ConfigAttributeError)):
        return _unknown(name, cause)
    return f"{name}: {str(cause.msg).splitlines()[0]}"


def _full_name(error: OmegaConfBaseException) -> str:
    """With its section, which is lost where that is merged with its dataclass alone."""
    for section in SECTIONS:
        if error.object_type in _dataclasses(section).values():
            return f"{section}.{str(error.full_key).removeprefix(f'{section}.')}"
    return str(error.full_key)


def _unknown(name: str, error: OmegaConfBaseException) -> str:
    section, _, field = name.rpartition(".")
    kind = _dataclasses(section).get((error.parent_node or {}).get("_name"), error.object_type)
    possible = {*(error.parent_node or ()), *_fields(kind)}
    if field in possible:
        return f"{name} is not in the preset: write +{name}=VALUE to add it"
    names = {f"{section}.{other}".lstrip(".") for other in possible}
    near = _nearest(section, field, sorted({*names, *_all_names()}))
    return f"there is no setting {name}" + (f"; did you mean {near}?" if near else "")


def _nearest(section: str, field: str, names: list[str]) -> str | None:
    """The name whose last word is most alike; of the same section, where several are."""

    def likeness(name: str) -> tuple[float, bool]:
        where, _, word = name.rpartition(".")
        return SequenceMatcher(None, field, word).ratio(), where == section

    near = max(names, key=likeness)
    return near if likeness(near)[0] >= NEAR else None


def _all_names() -> Iterator[str]:
    """Settings of fairseq's sections, and of every task, model, ... of ours."""
    for section in fields(FairseqConfig):
        kinds = [section.default]
        if section.name in SECTIONS:
            known = _dataclasses(section.name)
            kinds = [known[name] for name in known if name.startswith("budget_")]
        yield from (f"{section.name}.{field}" for kind in kinds for field in _fields(kind))


def _fields(kind: Any) -> list[str]:
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []


def _kinds(section: str) -> Any:
    """Classes by the names that `_name` may have."""
    if section == "model":
        return {**MODEL_REGISTRY, **ARCH_MODEL_REGISTRY}
    return TASK_REGISTRY if section == "task" else REGISTRIES[section]["registry"]


def _dataclasses(section: str) -> Any:
    if section in ("task", "model"):
        return TASK_DATACLASS_REGISTRY if section == "task" else MODEL_DATACLASS_REGISTRY
    return REGISTRIES[section]["dataclass_registry"] if section in REGISTRIES else {}
