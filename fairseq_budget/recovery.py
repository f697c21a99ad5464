"""Going on after a kill in the middle of a save."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write


def mend_checkpoint(folder: str | Path, name: str = "checkpoint_last.pt") -> Path | None:
    """Put the newest whole checkpoint of ``folder`` in the place of a damaged ``name``.

    fairseq writes a checkpoint under a temporary name but then copies it onto
    ``checkpoint_last.pt``, so a kill during the copy leaves that file cut short. Returns what was
    put there, or None when nothing had to be done. Raises BudgetError when no checkpoint is whole.
    """
    damaged = Path(folder) / name
    if not damaged.is_file() or is_whole(damaged):
        return None
    others = [path for path in damaged.parent.glob("checkpoint*.pt") if is_whole(path)]
    if not others:
        raise BudgetError(
            f"{damaged} is damaged and there is no other whole checkpoint in {damaged.parent}: "
            "remove it to begin anew, or choose another checkpoint.save_dir"
        )
    newest = max(others, key=lambda path: path.stat().st_mtime)
    with open(newest, "rb") as source, atomic_write(damaged, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 24)
    return newest


def is_whole(path: Path) -> bool:
    """Whether a checkpoint has its end: torch's zip format keeps its directory there."""
    return zipfile.is_zipfile(path)


def last_good(folder: str | Path) -> Path | None:
    """The newest whole checkpoint of ``folder`` whose weights are all finite."""
    whole = [path for path in Path(folder).glob("checkpoint*.pt") if is_whole(path)]
    for path in sorted(whole, key=lambda path: path.stat().st_mtime, reverse=True):
        model = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["model"]
        if all(value.isfinite().all() for value in model.values()):
            return path
    return None
