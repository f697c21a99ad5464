"""Writing files so that nothing half-written is ever left behind."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tarfile
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fairseq_budget.errors import BudgetError


@contextmanager
def atomic_write(path: str | Path, mode: str = "w", *, durable: bool = True) -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` and rename it over ``path`` when the block succeeds.

    On any error, Ctrl-C and a full disk included, the temporary file is removed and ``path`` is
    untouched. Missing parent folders are made. Raises BudgetError where writing is not allowed.
    Without `durable` it does not wait for the disk: a power cut may leave a short file, no kill.
    """
    path = Path(path)
    encoding = None if "b" in mode else "utf-8"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise BudgetError(
            f"cannot write {path}: {error.strerror or error}; choose a folder that you may write to"
        ) from error
    try:
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())  # mkstemp makes files private
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: str | Path, content: Any, **form: Any) -> None:
    """Write JSON and the end of its last line, whole or not at all.

    form: options of ``json.dumps``; by default it is indented by two, with names in their order.
    """
    with atomic_write(path) as file:
        file.write(json.dumps(content, **{"indent": 2, "sort_keys": True, **form}) + "\n")


@contextmanager
def reading(what: object, cure: str) -> Iterator[None]:
    """Name the file, what is wrong and the cure where the block meets content of another kind.

    A file may hold anything: what parsers and conversions raise for it, and what the system does,
    becomes a BudgetError ``cannot read {what} (...); {cure}``. A BudgetError passes as it is.
    """
    try:
        yield
    except BudgetError:
        raise
    except _MALFORMED as error:
        reason: object = getattr(error, "strerror", None) or error
        if isinstance(error, KeyError):
            reason = f"it has no {error}"
        raise BudgetError(f"cannot read {what} ({reason}); {cure}") from error


_MALFORMED = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError),
    *(RuntimeError, SyntaxError, zlib.error, struct.error),
    *(zipfile.BadZipFile, tarfile.TarError, tokenize.TokenError),
)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256_file(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
