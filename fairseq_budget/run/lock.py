"""One run at a time in a folder of checkpoints."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from fairseq_budget.errors import BudgetError

LOCK_FILE = "run.lock"
logger = logging.getLogger(__name__)


@contextmanager
def hold_folder(folder: str | Path) -> Iterator[None]:
    """Keep other runs out of ``folder``; raises BudgetError that names the one that is in it.

    A POSIX record lock: it ends with its process, however that ends, is not inherited by forked
    data workers that outlive it, and is seen by other hosts that share the folder. The lock's file
    stays, empty: a file that is removed could be locked by two.
    """
    with _open(Path(folder) / LOCK_FILE) as file:
        file.seek(0)
        previous = file.read()
        _lock(file, folder, previous)
        if previous and f" on {socket.gethostname()} " not in previous:
            logger.warning(
                f"the last run in {folder}, {previous}, did not end by itself: if it still runs "
                "and this file system does not share locks, both overwrite their checkpoints"
            )
        file.truncate(0)
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {now}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _open(path: Path) -> IO[str]:
    try:
        return path.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:  # such as another user's
        raise BudgetError(
            f"cannot write {path} ({error.strerror}): if its owner has no run there, remove it; "
            "else choose another checkpoint.save_dir"
        ) from error


def _lock(file: IO[str], folder: str | Path, holder: str) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise BudgetError(
            f"checkpoint.save_dir={folder} is in use by {holder or 'another process'}: wait for "
            "its end, stop it, or choose another checkpoint.save_dir"
        ) from error
    except OSError as error:
        logger.warning(
            f"cannot lock {file.name} ({error.strerror}): see to it yourself that no other run "
            f"writes there{f'; the last was {holder}' if holder else ''}"
        )
