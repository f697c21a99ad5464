"""The start of a run: its last checkpoint, mended after a kill, or a file that is named."""

from __future__ import annotations

import pickle
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

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
    whole = _newest_first(folder)
    if not whole:
        raise BudgetError(
            f"{torn} is damaged and there is no other whole checkpoint in {torn.parent}: "
            "remove it to begin anew, or choose another checkpoint.save_dir"
        )
    with whole[0].open("rb") as source, atomic_write(torn, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 24)
    return whole[0]


def is_torn(path: Path) -> bool:
    """Whether a file is the beginning of a checkpoint (or, after a power cut, empty or zeros).

    The directory of torch's zip format is at its end. Whatever begins otherwise, such as torch's
    older format, was written by no run.
    """
    with path.open("rb") as file:
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


class Start(NamedTuple):
    """The file that a run starts from; `weights_only`: as if all checkpoint.reset_* were set."""

    path: Path
    weights_only: bool = False


def starting_point(checkpoint: Any) -> Start | None:
    """The file that fairseq goes on from by its ``checkpoint`` settings; None: it begins anew.

    Raises BudgetError for a named file that is not there: fairseq would begin anew, silently.
    """
    folder = Path(checkpoint.save_dir)
    if checkpoint.restore_file == LAST and (folder / LAST).exists():
        return Start(folder / LAST)
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
        return Start(Path(name), weights_only=field == "finetune_from_model")
    return None


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """All that a fairseq checkpoint holds, on the CPU; its tensors are read when they are used.

    Torch's format before 1.6 is read at once. Nothing in the file is executed. Raises BudgetError
    for anything but a checkpoint with its config and weights.
    """
    try:
        is_zip = zipfile.is_zipfile(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are refused anyway
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
        checkpoint["model"].items()
    except (
        *(OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError),
        *(KeyError, TypeError, IndexError, AttributeError),
    ) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        if isinstance(error, pickle.UnpicklingError):  # torch's words propose to trust the file
            reason = "no zip of torch's, or with objects in it that are not read, to be safe"
        raise BudgetError(
            f"{path} is not a fairseq checkpoint of ours ({reason}): expected a checkpoint that a "
            "budget_* model wrote; budget-import makes a folder that is read here of public ones"
        ) from error
    return checkpoint


def last_good(folder: str | Path) -> Path | None:
    """The newest whole checkpoint of ``folder`` whose weights are all finite."""
    return next(filter(_is_finite, _newest_first(folder)), None)


def _is_finite(path: Path) -> bool:
    try:
        weights = read_checkpoint(path)["model"]
    except BudgetError:  # a file of something else
        return False
    return all(value.isfinite().all() for value in weights.values())


def _newest_first(folder: str | Path) -> list[Path]:
    """Whole checkpoints: those that have the directory at the end of torch's zip format."""
    whole = [path for path in Path(folder).glob("checkpoint*.pt") if zipfile.is_zipfile(path)]
    return sorted(whole, key=lambda path: path.stat().st_mtime, reverse=True)
