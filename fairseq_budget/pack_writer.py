"""The file under a pack (packed.py): arrays one after another, then the header that lists them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.packed import ALIGNMENT, MAGIC, PREFIX

_BLOCK = 1 << 20  # bytes read at a time


class PackWriter:
    """Writes arrays one after another, and then the header that says where they are."""

    def __init__(self, file: IO[bytes], folder: Path, temporary: ExitStack) -> None:
        self._file, self._folder, self._temporary = file, folder, temporary
        self._places: dict[str, dict[str, Any]] = {}
        file.write(bytes(PREFIX.size))

    def new_counts(self) -> Counts:
        """A list to be filled while an array is written, and then added itself."""
        file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed by the stack
        return Counts(self._temporary.enter_context(file))

    def add(self, name: str, dtype: str, blocks: Iterable[bytes | memoryview]) -> None:
        self._file.write(bytes(-self._file.tell() % ALIGNMENT))
        offset, digest = self._file.tell(), hashlib.sha256()
        for block in blocks:
            self._file.write(block)
            digest.update(block)
        num_bytes, sha256 = self._file.tell() - offset, digest.hexdigest()
        place = {"dtype": dtype, "offset": offset, "num_bytes": num_bytes, "sha256": sha256}
        self._places[name] = place

    def sha256(self, name: str) -> str:
        return self._places[name]["sha256"]

    def finish(self, header: dict[str, Any]) -> None:
        content = json.dumps({**header, "arrays": self._places}).encode()
        offset = self._file.tell()
        self._file.write(content)
        self._file.seek(0)
        sha256 = hashlib.sha256(content).digest()
        self._file.write(PREFIX.pack(MAGIC, offset, len(content), sha256))
        self._file.seek(0, os.SEEK_END)


class Counts:
    """A list of int64 that grows on disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def append(self, count: int) -> None:
        self.file.write(count.to_bytes(8, "little", signed=True))

    def blocks(self) -> Iterator[bytes]:
        self.file.seek(0)
        while block := self.file.read(_BLOCK):
            yield block

    def mapped(self) -> NDArray[np.int64]:
        self.file.flush()
        return np.memmap(self.file, dtype="<i8", mode="r")
