"""Complaints about a command before Hydra reads its preset: none is named, or it does not exist.

(A wrong ``--config-name`` is no error to Hydra: fairseq has put an empty config under that name.)
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from fairseq_budget.errors import expected_one_of
from fairseq_budget.run.presets import preset_folder, preset_names

PACKAGE = "fairseq_budget"
_OURS = re.compile(rf"\b{PACKAGE}\b|\b_name *[=:] *budget_")
_TASK = re.compile(r"\+*task(\._name)?=")


def is_ours(args: Any) -> bool:
    """Whether a command, by Hydra's own parser, or its preset names anything of this package."""
    preset = _find(args)
    text = preset.read_text(encoding="utf-8", errors="replace") if preset else ""
    words = [*args.overrides, text]
    return Path(_name(args)).name.startswith("budget_") or any(map(_OURS.search, words))


def kind_of(cfg: Any, section: str) -> str | None:
    """The task, model, ... that a composed config has chosen: a section's `_name`, or all of it."""
    chosen = cfg.get(section)
    return chosen.get("_name") if hasattr(chosen, "get") else chosen


def complaint(args: Any) -> str | None:
    """The fault of a command that is ours, or that names no task of anybody's; else None."""
    if args.help or args.hydra_help or args.info or args.cfg or args.shell_completion:
        return None
    folder = args.config_dir
    given = preset_names(folder) if folder else []
    if args.config_name is None:
        if is_ours(args) or given or not any(map(_TASK.match, args.overrides)):
            return _none_chosen(folder if given else preset_folder())
    elif is_ours(args) and not args.config_path and _find(args) is None:
        there = preset_names(folder, "*.yaml") if folder else []
        cure = (
            expected_one_of(_name(args), there) if there else f"add --config-dir {preset_folder()}"
        )
        return f"no preset {args.config_name} in {folder or 'fairseq'}: {cure}"
    return None


def _none_chosen(folder: str | Path) -> str:
    return (
        f"no preset chosen: add --config-dir {folder} --config-name PRESET task.data=DATA, PRESET "
        f"being one of {', '.join(preset_names(folder))}"
    )


def _find(args: Any) -> Path | None:
    """The file of a preset: in --config-dir, or among fairseq's own."""
    folders = [Path(args.config_dir)] if args.config_dir else []
    if fairseq := importlib.util.find_spec("fairseq"):
        folders.append(Path(str(fairseq.origin)).parent / "config")
    files = (folder / f"{_name(args)}.yaml" for folder in folders if args.config_name)
    return next((file for file in files if file.is_file()), None)


def _name(args: Any) -> str:
    return (args.config_name or "").removesuffix(".yaml")
