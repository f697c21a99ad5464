"""Checkpoints that are whole or absent, in the place of how fairseq writes them.

fairseq copies a new checkpoint onto ``checkpoint_last.pt`` in place, so that a kill or a full disk
leaves half of it; and it leaves its temporary file on the disk that is full.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.run.provenance import history
from fairseq_budget.run.recovery import newest_whole, put_copy

_fairseq_save = checkpoint_utils.torch_persistent_save


def install() -> None:
    """Take the place of fairseq's own in this process."""
    checkpoint_utils.torch_persistent_save = save
    checkpoint_utils.PathManager.copy = staticmethod(copy)


def save(content: Any, path: str, async_write: bool = False) -> None:
    """Write a checkpoint with what it is made with (provenance.py).

    Raises BudgetError that says what is still there and what to free.
    """
    if sessions := history.sessions():
        content = {**content, "sessions": sessions}
    if async_write:
        _fairseq_save(content, path, async_write=True)
        return
    try:
        with atomic_write(path, "wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        raise _unsaved(Path(path), error) from error


def copy(source: str, target: str, overwrite: bool = False) -> bool:  # noqa: ARG001
    """Give a checkpoint another name; whether that was done, as fairseq asserts."""
    try:
        put_copy(source, target)
    except OSError as error:
        raise _unsaved(Path(target), error) from error
    return True


def _unsaved(path: Path, error: Exception) -> BudgetError:
    """torch answers a full disk with counts of bytes; the reason is then in what it had met."""
    cause = error if isinstance(error, OSError) else error.__context__
    reason = getattr(cause, "strerror", None) or str(cause or error).partition("\n")[0]
    free = shutil.disk_usage(path.parent).free
    found = newest_whole(path.parent)
    left = "no checkpoint is there yet"
    if found is not None:
        size = found.stat().st_size
        left = f"{found} ({size / 1e6:,.1f} MB) is whole, and the same command goes on from it"
    return BudgetError(
        f"cannot save {path} ({reason}; {free / 1e6:,.1f} MB free on its disk): "
        f"{left}, once there is room: remove old checkpoints or raise your quota"
    )
