"""One at a time: in a folder of checkpoints, and where commands write."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from fairseq_budget.errors import BudgetError

LOCK_FILE = "run.lock"
_SLOT = 256  # bytes, for who holds one part of a lock
logger = logging.getLogger(__name__)


def hold_folder(folder: str | Path) -> AbstractContextManager[None]:
    """Keep other runs out of ``folder``; raises BudgetError that names the one that is in it.

    The lock's file stays, empty.
    """
    name = "checkpoint.save_dir"
    return hold(Path(folder) / LOCK_FILE, f"{name}={folder}", f"another {name}", stays=True)


@contextmanager
def hold(
    path: Path, what: str, other: str, *, part: int | None = None, stays: bool = False
) -> Iterator[None]:
    """Hold the lock at `path`; raises BudgetError that names who holds it.

    `what` it keeps others from and the `other` thing to choose are words of that error. With `part`
    only that one is held, from 0: others may hold other parts, but nobody all of it.

    A POSIX record lock: it ends with its process, however that ends, is not inherited by forked
    data workers that outlive it, and is seen by other hosts that share the folder. Its file goes
    with the last holder unless it `stays`.
    """
    with _locked(path, what, other, part) as file:
        start, last = _SLOT * (part or 0), _held_by(file, part)
        if last and f" on {socket.gethostname()} " not in last:
            logger.warning(
                f"the last process in {what}, {last}, did not end by itself: if it still runs "
                "and this file system does not share locks, both overwrite what the other writes"
            )
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        words = f"process {os.getpid()} on {socket.gethostname()} since {now}".encode()[:_SLOT]
        if part is None:
            os.ftruncate(file.fileno(), 0)
        os.pwrite(file.fileno(), words, start)
        try:
            yield
        finally:
            os.pwrite(file.fileno(), bytes(len(words)), start)
            _leave(file, path, stays=stays)


@contextmanager
def _locked(path: Path, what: str, other: str, part: int | None) -> Iterator[IO[bytes]]:
    """The file, locked, that is at `path`: it may have gone with its holder as it was opened."""
    while True:
        with _open(path, other) as file:
            _lock(file, what, other, part)
            if _is_at(file, path):
                yield file
                return


def _open(path: Path, other: str) -> IO[bytes]:
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    except OSError as error:  # such as another user's
        raise BudgetError(
            f"cannot write {path} ({error.strerror}): if its owner is not at work there, remove "
            f"it; else choose {other}"
        ) from error


def _lock(file: IO[bytes], what: str, other: str, part: int | None) -> None:
    try:
        _try_lock(file, part)
    except (BlockingIOError, PermissionError) as error:
        holder = _held_by(file, part) or _held_by(file, None) or "another process"
        raise BudgetError(
            f"{what} is in use by {holder}: wait for its end, stop it, or choose {other}"
        ) from error
    except OSError as error:
        holder = _held_by(file, part)
        logger.warning(
            f"cannot lock {file.name} ({error.strerror}): see to it yourself that nobody else "
            f"writes there{f'; the last was {holder}' if holder else ''}"
        )


def _try_lock(file: IO[bytes], part: int | None) -> None:
    """Lock one part, or all that there are and may be; an OSError where others hold some of it."""
    place = (0, 0) if part is None else (_SLOT, _SLOT * part)
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *place)


def _held_by(file: IO[bytes], part: int | None) -> str:
    """Who holds, or held when they were killed, a part, or any."""
    size = os.fstat(file.fileno()).st_size
    starts = range(0, size, _SLOT) if part is None else [_SLOT * part]
    slots = (os.pread(file.fileno(), _SLOT, start).strip(b"\0") for start in starts)
    return ", ".join(slot.decode(errors="replace") for slot in slots if slot)


def _is_at(file: IO[bytes], path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _leave(file: IO[bytes], path: Path, *, stays: bool) -> None:
    """Empty the file, or remove it, if nobody else holds a part."""
    with suppress(OSError):  # somebody does, or removing is not allowed
        _try_lock(file, None)
        os.ftruncate(file.fileno(), 0)
        if not stays:
            path.unlink()
