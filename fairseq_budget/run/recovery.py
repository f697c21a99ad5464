"""The start of a run: its last checkpoint, mended where damaged, or a file that is named."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write

LAST = "checkpoint_last.pt"  # the one name that fairseq looks for in save_dir
_ZIP = b"PK\x03\x04"  # how torch's checkpoints begin
_SAVED = re.compile(r"checkpoint(_last|_best|\.best_.*|\d+|_\d+_\d+)\.pt")


def mend_checkpoint(folder: str | Path) -> Path | None:
    """Put the newest whole checkpoint in the place of a damaged or missing ``checkpoint_last.pt``.

    Whoever holds the folder calls it; what a kill has left half-written is removed. Returns what
    was put there, or None when nothing had to be done. Raises BudgetError when no checkpoint is
    whole.
    """
    last = Path(folder) / LAST
    for left in (*last.parent.glob(".checkpoint*.pt.*"), *last.parent.glob("checkpoint*.pt.tmp")):
        left.unlink()
    others = [path for path in _newest_first(folder) if path != last]
    fault = damage(last) if last.is_file() else "gone" if others else None
    if fault is None:
        return None
    whole = newest_whole(folder)
    if whole is None:
        raise BudgetError(
            f"{last} is {fault} and there is no other whole checkpoint in {last.parent}: remove "
            f"{', '.join([LAST, *(path.name for path in others)])} to begin anew, or choose "
            "another checkpoint.save_dir"
        )
    put_copy(whole, last)
    return whole


def put_copy(source: str | Path, target: str | Path) -> None:
    """Another name for a checkpoint, whole at every moment; a copy where disks have no hard links.

    Checkpoints are never written to, only replaced, so that two names may share their content.
    """
    temporary = Path(target).with_name(f".{Path(target).name}.link")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        with Path(source).open("rb") as content, atomic_write(target, "wb") as file:
            shutil.copyfileobj(content, file, 1 << 24)
    else:
        temporary.replace(target)


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's bytes, each of which is read; None if nothing is.

    The directory of torch's zip format is at its end, with a check sum of every part: so what is
    cut short, holds zeros (after a power cut) or has changed is found. Whatever neither begins nor
    ends as such a file, such as torch's older format, was written by no run and is not judged.
    """
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as parts:
                part = parts.testzip()
        except Exception as error:  # of any kind: the directory itself may hold anything
            return f"damaged ({error})"
        return f"damaged (in its part {part})" if part else None
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
    is_begun = _ZIP.startswith(start) or not start.strip(b"\0")
    return "damaged (it is cut short)" if is_begun else None


def refuse_links(folder: str | Path) -> None:
    """BudgetError for a checkpoint that is a link out of ``folder``: fairseq writes through it."""
    for path in Path(folder).glob("checkpoint*.pt"):
        if path.is_symlink() and path.resolve().parent != Path(folder).resolve():
            raise BudgetError(
                f"{path} is a link to {path.resolve()}, which this run would overwrite: put a copy "
                f"in its place, or remove it and set checkpoint.restore_file={path.resolve()}"
            )


def refuse_graph(path: str | Path) -> None:
    """BudgetError for what torch.export saved; other files, damaged ones included, pass."""
    names: list[str] = []
    with suppress(Exception), zipfile.ZipFile(path) as parts:  # these bytes may be anything
        names = parts.namelist()
    if any(name.endswith("/archive_format") for name in names):
        raise BudgetError(
            f"{path} is a graph that torch.export saved, for torch.export.load alone: give the "
            "checkpoint that it was exported from, or the folder of budget-export without --to"
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
    refuse_graph(path)
    try:
        fault = damage(Path(path))
        is_zip = zipfile.is_zipfile(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are refused anyway
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
        if fault is None and not are_tensors(checkpoint["model"]):
            fault = "its weights are no tensors with names"
    except Exception as error:  # of any kind: these bytes may be anything
        fault = f"{type(error).__name__}: {error}".splitlines()[0]
        if isinstance(error, pickle.UnpicklingError):  # torch's words propose to trust the file
            fault = "no zip of torch's, or with objects in it that are not read, to be safe"
    if fault is not None:
        raise BudgetError(
            f"{path} is not a fairseq checkpoint of ours ({fault}): expected a checkpoint that a "
            "budget_* model wrote; budget-import makes a folder that is read here of public ones"
        )
    return cast(dict[str, Any], checkpoint)


def are_tensors(state: Any) -> bool:
    """Whether weights are tensors with names."""
    return isinstance(state, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    )


def newest_whole(folder: str | Path) -> Path | None:
    """The newest whole checkpoint of ``folder``."""
    return next((path for path in _newest_first(folder) if damage(path) is None), None)


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
    """Checkpoints that a run has saved here, by the names that fairseq gives them."""
    found = (path for path in Path(folder).glob("checkpoint*.pt") if _SAVED.fullmatch(path.name))
    return sorted(found, key=_saved_at, reverse=True)


def _saved_at(path: Path) -> tuple[int, int, float]:
    """Time, epoch and update of a checkpoint: several may be saved in one tick of the clock."""
    numbers = re.fullmatch(r"checkpoint_?(\d+)_?(\d*)\.pt", path.name)
    epoch, update = numbers.groups() if numbers else ("-1", "-1")
    return path.stat().st_mtime_ns, int(epoch), float(update or "inf")  # inf: the epoch's end
