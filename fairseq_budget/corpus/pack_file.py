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
from typing import IO, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.errors import BudgetError
from fairseq_budget.structured import Range, conform, parse_json

FORMAT_VERSION = 2
MAGIC = b"budgpack"
ALIGNMENT = 64
PREFIX = struct.Struct("<8sQQ32s8x")  # magic, place and length of the header, its SHA-256
RELEASE_AFTER = 100  # accesses, each of which maps some 100 kB around what it reads
_DTYPES = ("|u1", "<u2", "<u4", "<i8")
_BLOCK = 1 << 24  # bytes at a time, where all of a file is read


_DTYPES = ("|u1", "<u2", "<u4", "<i8")
_Count = Annotated[int, Range(0, 1 << 62)]


@dataclass(frozen=True)
class Array:
    """The type and the place of an array, in bytes of the file, and the SHA-256 of its values."""

    dtype: str
    offset: _Count
    num_bytes: _Count
    sha256: str


@dataclass(frozen=True)
class PackedText:
    """A column: its description, and what tells the text that was packed from any other."""

    description: dict[str, Any]
    fingerprint: list[int]
    sha256: str


@dataclass(frozen=True)
class Header:
    """All that a pack says of itself; `manifest` is the hash of its lines."""

    format_version: int
    root: str
    manifest: str
    fingerprint: list[int]
    num_utterances: Annotated[int, Range(1, 1 << 32)]
    num_samples: _Count
    columns: dict[str, PackedText]
    arrays: dict[str, Array]


class Pack:
    """The header of a pack and its arrays, which are mapped when they are first touched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = self._read_header()
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = np.frombuffer(self._map, dtype=np.uint8)
        self._num_accesses = 0
        for name in self.header.arrays:  # a look at two pages of each
            if name in ("sizes", "by_size") and len(self[name]) != self.header.num_utterances:
                raise self.damaged(name)
            self.starts(name.removesuffix(".starts")) if name.endswith(".starts") else self[name]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.bytes(name).view(self._array(name).dtype)

    def bytes(self, name: str) -> NDArray[np.uint8]:
        place = self._array(name)
        return self._bytes[place.offset : place.offset + place.num_bytes]

    def starts(self, name: str) -> NDArray[np.int64]:
        """Where each utterance's values of array `name` begin, and where the last one's end."""
        starts, num_values = self[f"{name}.starts"], len(self[name])
        is_one = len(starts) == self.header.num_utterances + 1
        if not is_one or starts[0] != 0 or starts[-1] != num_values:
            raise self.damaged(name)
        return starts

    def damaged(self, name: str) -> BudgetError:
        return BudgetError(f"{self.path} is damaged in its array {name!r}; {cure(self.path)}")

    def _array(self, name: str) -> Array:
        place = self.header.arrays.get(name)
        if place is None or place.dtype not in _DTYPES:
            raise self.damaged(name)
        is_whole = place.num_bytes % np.dtype(place.dtype).itemsize == 0
        if not is_whole or place.offset + place.num_bytes > len(self._bytes):
            raise self.damaged(name)
        return place

    def count_access(self) -> None:
        """Now and then give back the pages that were touched: they stay in the page cache.

        A long run would otherwise hold all of the file, which is no waste but looks like a leak.
        """
        self._num_accesses += 1
        if self._num_accesses % RELEASE_AFTER == 0:
            self._map.madvise(mmap.MADV_DONTNEED)

    def check(self) -> None:
        """Read everything; BudgetError if an array is not what was written."""
        for name, array in self.header.arrays.items():
            digest, content = hashlib.sha256(), self.bytes(name).data
            for start in range(0, len(content), _BLOCK):
                digest.update(content[start : start + _BLOCK])
            if digest.hexdigest() != array.sha256:
                raise self.damaged(name)

    def _read_header(self) -> Header:
        try:
            with self.path.open("rb") as file:
                magic, offset, length, sha256 = PREFIX.unpack(file.read(PREFIX.size))
                end = file.seek(0, os.SEEK_END)
                file.seek(min(offset, end))
                content = file.read(min(length, end))
        except (OSError, struct.error) as error:
            raise BudgetError(f"cannot read {self.path}: {error}; {cure(self.path)}") from error
        is_end = offset + length == end  # nothing lies behind the header
        whole = is_end and hashlib.sha256(content).digest() == sha256
        if magic != MAGIC or not whole:
            raise BudgetError(f"{self.path} is no pack, or damaged or cut off; {cure(self.path)}")
        try:
            header = parse_json(content, dict)
            if header.get("format_version") != FORMAT_VERSION:
                raise BudgetError(
                    f"{self.path} has format_version {header.get('format_version')!r}, not "
                    f"{FORMAT_VERSION}; {cure(self.path)}"
                )
            return conform(header, Header)
        except BudgetError:
            raise
        except ValueError as error:
            raise BudgetError(f"{self.path} is no pack ({error}); {cure(self.path)}") from error


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
