"""Where a run goes on from: its last checkpoint, mended after a kill, or a file that is named."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write

LAST = "checkpoint_last.pt"  # the one name that fairseq looks for in save_dir
_ZIP = b"PK\x03\x04"  # how torch's checkpoints begin


def mend_checkpoint(folder: str | Path) -> Path | None:
    """Put the newest whole checkpoint of ``folder`` in the place of a torn ``checkpoint_last.pt``.

    fairseq writes a checkpoint under a temporary name but then copies it onto
    ``checkpoint_last.pt``, so a kill during the copy leaves that file cut short. Returns what was
    put there, or None when nothing had to be done. Raises BudgetError when no checkpoint is whole.
    """
    torn = Path(folder) / LAST
    if not torn.is_file() or not is_torn(torn):
        return None
    others = [path for path in torn.parent.glob("checkpoint*.pt") if zipfile.is_zipfile(path)]
    if not others:
        raise BudgetError(
            f"{torn} is damaged and there is no other whole checkpoint in {torn.parent}: "
            "remove it to begin anew, or choose another checkpoint.save_dir"
        )
    newest = max(others, key=lambda path: path.stat().st_mtime)
    with open(newest, "rb") as source, atomic_write(torn, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 24)
    return newest


def is_torn(path: Path) -> bool:
    """Whether a file is the beginning of a checkpoint (or, after a power cut, empty or zeros).

    The directory of torch's zip format is at its end. Whatever begins otherwise, such as torch's
    older format, was written by no run.
    """
    with open(path, "rb") as file:
        start = file.read(len(_ZIP))
    begun = _ZIP.startswith(start) or not start.strip(b"\0")
    return begun and not zipfile.is_zipfile(path)


def refuse_links(folder: str | Path) -> None:
    """BudgetError for a checkpoint that is a link out of ``folder``: fairseq writes through it."""
    for path in Path(folder).glob("checkpoint*.pt"):
        if path.is_symlink() and path.resolve().parent != Path(folder).resolve():
            raise BudgetError(
                f"{path} is a link to {path.resolve()}, which this run would overwrite: put a copy "
                f"in its place, or remove it and set checkpoint.restore_file={path.resolve()}"
            )


def starting_point(checkpoint: Any) -> Path | None:
    """The file that fairseq goes on from by its ``checkpoint`` settings; None: it begins anew.

    Raises BudgetError for a named file that is not there: fairseq would begin anew, silently.
    """
    folder = Path(checkpoint.save_dir)
    if checkpoint.restore_file == LAST and (folder / LAST).exists():
        return folder / LAST
    for field in ("restore_file", "continue_once", "finetune_from_model"):
        name = getattr(checkpoint, field, None)
        if name is None or name == LAST:
            continue
        if not Path(name).is_file():
            near = folder / Path(name).name
            hint = f"; {near} does" if near.is_file() else ""
            raise BudgetError(
                f"checkpoint.{field}={name} is no file that exists{hint}: name a checkpoint, or "
                f"leave checkpoint.{field} out"
            )
        return Path(name)
    return None
