"""Audio inside zip and tar archives, as fairseq names it: ``archive.zip:offset:length`` in bytes.

Members are stored there as they are, so that one is a run of the archive's bytes: nothing is
unpacked, and reading a piece of a member touches no other. fairseq itself reads zip only.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading

EXTENSIONS = ("zip", "tar")

_PATH = re.compile(r"(?P<archive>.+\.(?:zip|tar)):(?P<offset>\d+):(?P<length>\d+)", re.IGNORECASE)
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a zip's member: ends in its name and extra field
_STORED = "store its members as they are: zip -0, or tar without compression"


class Member(NamedTuple):
    """A file of an archive: its name there, and the bytes that it is."""

    name: str
    offset: int
    length: int


def file_of(path: str) -> str:
    """The file that has to be there for `path`: the archive, if it names a member of one."""
    match = _PATH.fullmatch(path)
    return match["archive"] if match else path


def open_bytes(path: str | Path) -> io.BufferedReader:
    """A file, or a member of an archive, to be read as bytes; OSError if it is not there."""
    match = _PATH.fullmatch(os.fspath(path))
    place = match["archive"] if match else path
    if not stat.S_ISREG(os.stat(place).st_mode):
        raise OSError(errno.EINVAL, "no regular file")  # opening a FIFO would wait for ever
    if match is None:
        return open(path, "rb")
    file = open(place, "rb", buffering=0)  # noqa: SIM115  # closed by its reader
    return io.BufferedReader(_Range(file, int(match["offset"]), int(match["length"])))


def list_members(archive: Path) -> list[Member]:
    """The files in a zip or tar archive, in its order; BudgetError if their bytes are not there.

    That is so of an archive that is compressed, encrypted or damaged.
    """
    list_all = _zip_members if archive.suffix.lower() == ".zip" else _tar_members
    with reading(f"the archive {archive}", _STORED):
        members, size = list(list_all(archive)), archive.stat().st_size
        for name, offset, length in members:
            if not name or "\0" in name:
                raise ValueError(f"{name!r} is no name")
            if offset + length > size:
                raise ValueError(f"{name} would end at byte {offset + length} of {size}")
        return members


def _zip_members(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                raise _packed(path, info.filename, "compressed or encrypted")
            file.seek(info.header_offset)
            magic, *lengths = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            if magic != b"PK\x03\x04":
                raise ValueError(f"{info.filename} does not begin where it should")
            yield Member(info.filename, file.tell() + sum(lengths), info.file_size)


def _tar_members(path: Path) -> Iterator[Member]:
    with tarfile.open(path, "r:") as archive:
        for info in archive:
            if info.issparse():
                raise _packed(path, info.name, "a sparse file")
            if info.isreg():
                yield Member(info.name, info.offset_data, info.size)


def _packed(path: Path, name: str, what: str) -> BudgetError:
    return BudgetError(f"{name} in {path} is {what}, so that it cannot be read in place; {_STORED}")


class BytesView(io.RawIOBase):
    """Bytes that stand elsewhere as a file of `length`; subclasses read from `_position` on."""

    def __init__(self, length: int) -> None:
        self._length, self._position = length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, start + offset)
        return self._position


class _Range(BytesView):
    """The bytes [offset, offset + length) of a file, as a file."""

    def __init__(self, file: io.FileIO, offset: int, length: int) -> None:
        super().__init__(length)
        self._file, self._offset = file, offset
        size = os.fstat(file.fileno()).st_size
        if offset + length > size:
            self.close()
            raise OSError(f"{file.name} ends at byte {size}, before byte {offset + length}")

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._length - self._position))
        self._file.seek(self._offset + self._position)
        num_read = self._file.readinto(memoryview(buffer)[:wanted]) or 0
        self._position += num_read
        return num_read

    def close(self) -> None:
        self._file.close()
        super().close()
