"""The file under a pack: arrays one after another, then the header that lists them.

64 bytes        magic, place and length of the header, SHA-256 of the header
arrays          little-endian, each from a multiple of 64 bytes on
header          json: what was packed, and every array's type, place and SHA-256
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.errors import BudgetError
from fairseq_budget.structured import conform, parse_json

FORMAT_VERSION = 2
MAGIC = b"budgpack"
ALIGNMENT = 64
PREFIX = struct.Struct("<8sQQ32s8x")  # magic, place and length of the header, its SHA-256
RELEASE_AFTER = 100  # accesses, each of which maps some 100 kB around what it reads
_DTYPES = ("|u1", "<u2", "<u4", "<i8")
_BLOCK = 1 << 24  # bytes at a time, where all of a file is read


@dataclass(frozen=True)
class _Place:
    dtype: str
    offset: int
    num_bytes: int
    sha256: str


class Pack:
    """The header of a pack and its arrays, which are mapped when they are first touched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = self._read_header()
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = np.frombuffer(self._map, dtype=np.uint8)
        self._num_accesses = 0
        for name in self.header["arrays"]:
            if not self._may_be(name):
                raise self._damage(name)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.bytes(name).view(self.header["arrays"][name]["dtype"])

    def bytes(self, name: str) -> NDArray[np.uint8]:
        place = self.header["arrays"][name]
        return self._bytes[place["offset"] : place["offset"] + place["num_bytes"]]

    def count_access(self) -> None:
        """Now and then give back the pages that were touched: they stay in the page cache.

        A long run would otherwise hold all of the file, which is no waste but looks like a leak.
        """
        self._num_accesses += 1
        if self._num_accesses % RELEASE_AFTER == 0:
            self._map.madvise(mmap.MADV_DONTNEED)

    def check(self) -> None:
        """Read everything; BudgetError if an array is not what was written."""
        for name, array in self.header["arrays"].items():
            digest, content = hashlib.sha256(), self.bytes(name).data
            for start in range(0, len(content), _BLOCK):
                digest.update(content[start : start + _BLOCK])
            if digest.hexdigest() != array["sha256"]:
                raise self._damage(name)

    def _may_be(self, name: str) -> bool:
        """Whether an array has the length that others ask of it: a look at two of its pages."""
        num_lines, array = self.header["num_utterances"], self[name]
        if not name.endswith(".starts"):
            return name not in ("sizes", "by_size") or len(array) == num_lines
        started = self[name.removesuffix(".starts")]
        return len(array) == num_lines + 1 and [array[0], array[-1]] == [0, len(started)]

    def _damage(self, name: str) -> BudgetError:
        return BudgetError(f"{self.path} is damaged in its array {name!r}; {cure(self.path)}")

    def _read_header(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file:
                magic, offset, length, sha256 = PREFIX.unpack(file.read(PREFIX.size))
                end = file.seek(0, os.SEEK_END)
                file.seek(min(offset, end))
                content = file.read(min(length, end))
        except (OSError, struct.error) as error:
            raise BudgetError(f"cannot read {self.path}: {error}; {cure(self.path)}") from error
        whole = len(content) == length and hashlib.sha256(content).digest() == sha256
        if magic != MAGIC or not whole:
            raise BudgetError(f"{self.path} is no pack, or damaged or cut off; {cure(self.path)}")
        try:
            header: dict[str, Any] = parse_json(content, dict)
        except ValueError as error:
            raise BudgetError(f"{self.path} is no pack ({error}); {cure(self.path)}") from error
        if header.get("format_version") != FORMAT_VERSION:
            raise BudgetError(
                f"{self.path} has format_version {header.get('format_version')!r}, not "
                f"{FORMAT_VERSION}; {cure(self.path)}"
            )
        try:
            _check_places(header, offset, end - len(content))
        except ValueError as error:
            raise BudgetError(f"{self.path} is no pack ({error}); {cure(self.path)}") from error
        return header


def _check_places(header: dict[str, Any], offset: int, before_header: int) -> None:
    """ValueError unless the arrays lie before the header, which ends the file."""
    conform(header.get("num_utterances"), int, "num_utterances")
    places = conform(header.get("arrays"), dict[str, _Place], "arrays")
    for name, place in places.items():
        whole = place.dtype in _DTYPES and not place.num_bytes % np.dtype(place.dtype).itemsize
        if not whole or not PREFIX.size <= place.offset <= place.offset + place.num_bytes <= offset:
            raise ValueError(f"its array {name!r} lies elsewhere")
    if offset != before_header:
        raise ValueError(f"its header ends {before_header - offset:,} bytes before the file")


def fingerprint(path: Path) -> list[int]:
    """Length and time of change, in bytes and ns: the same for a file that was left alone."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def cure(path: Path) -> str:
    """Words of an error that say how to mend the pack at `path`."""
    return f"make it anew with `budget-manifest pack --data {path.parent} --splits {path.stem}`"


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
