"""How many bytes of samples a file's header promises, which libsndfile does not hold it to.

It believes the file's size rather than the header, so that half a recording looks like a whole one.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, NamedTuple

_UNKNOWN = 0x7FFF0000  # programs that write into a pipe promise this many bytes or more
_RIFF, _RIFX = struct.Struct("<4sI"), struct.Struct(">4sI")
_W64 = struct.Struct("<4s12xq")  # a GUID begins with the four letters; sizes count the header
_OGG_PAGE = struct.Struct("<4sxBqIIIB")
_BEGINS = 2  # a flag of an ogg's first page


class Promise(NamedTuple):
    """The samples begin at byte `start` and take `num_bytes`; the file itself ends at `end`."""

    start: int
    num_bytes: int
    end: int

    @property
    def num_missing(self) -> int:
        return max(0, self.start + self.num_bytes - self.end)

    @property
    def is_forgotten(self) -> bool:
        """Whether there are samples and the header says that there are none."""
        return self.num_bytes == 0 and self.end > self.start


def find_promise(file: BinaryIO) -> Promise | None:
    """The promise in the header of a wav, RF64, W64, AIFF, AU or NIST file; None if it has none."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(16)
    file.seek(12)
    found: tuple[int, int] | None = None
    match head[:4]:
        case b"RIFF" | b"RIFX":
            found = _find(file, b"data", _RIFF if head[:4] == b"RIFF" else _RIFX)
            if found and found[1] == 0 and file.read(4).strip().isalnum():
                return None  # the name of another chunk follows, and no samples
        case b"RF64" | b"BW64":
            found = _find_long_wav(file)
        case b"riff":
            file.seek(40)  # behind two GUIDs and a size
            found = _find(file, b"data", _W64, align=8, counts_head=True)
        case b"FORM":
            found = _find(file, b"SSND", _RIFX)
        case b".snd":
            found = struct.unpack(">II", head[4:12]) if len(head) >= 12 else None
        case b"NIST":
            found = _find_in_nist(file)
    if found is None or not 0 <= found[1] < max(_UNKNOWN, end):
        return None
    return Promise(*found, end)


def find_ogg_fault(file: BinaryIO) -> str | None:
    """Why an ogg is not the one stream that decoders read, as ``kind: detail``; None if it is.

    Pages are numbered (RFC 3533, section 6): that some are missing, or that another stream follows,
    is seen without decoding.
    """
    end, position = file.seek(0, os.SEEK_END), 0
    numbers: dict[int, int] = {}  # of each stream's last page
    while position < end:
        file.seek(position)
        head = file.read(_OGG_PAGE.size)
        if len(head) < _OGG_PAGE.size or not head.startswith(b"OggS"):
            return f"truncated: no page of the ogg begins at byte {position} of {end}"
        _, flags, _, stream, number, _, num_segments = _OGG_PAGE.unpack(head)
        if flags & _BEGINS and numbers:
            return (
                "unreadable: more than one stream, and only the first would be read; make one of "
                "them, `ffmpeg -i in.ogg out.flac` for example"
            )
        expected = numbers.get(stream, -1) + 1
        if number != expected:
            return f"truncated: page {expected} of the ogg is missing, {number} follows"
        numbers[stream] = number
        position += len(head) + num_segments + sum(file.read(num_segments))
    return f"truncated: the last page lacks {position - end} bytes" if position > end else None


def _find(
    file: BinaryIO, name: bytes, head: struct.Struct, *, align: int = 2, counts_head: bool = False
) -> tuple[int, int] | None:
    """Start of the content of chunk `name`, and its length by its own account."""
    while len(raw := file.read(head.size)) == head.size:
        own, size = head.unpack(raw)
        if counts_head:
            size -= head.size
        if own == name:
            return file.tell(), size
        if size < 0:
            return None
        file.seek(size + -size % align, os.SEEK_CUR)
    return None


def _find_long_wav(file: BinaryIO) -> tuple[int, int] | None:
    """RF64 (EBU Tech 3306): sizes of more than 32 bits stand in a chunk of their own."""
    sizes = _find(file, b"ds64", _RIFF)
    content = file.read(16) if sizes else b""
    long = struct.unpack("<q", content[8:])[0] if len(content) == 16 else 0
    file.seek(12)
    found = _find(file, b"data", _RIFF)
    if found and found[1] == 0xFFFFFFFF:
        return found[0], long
    return found


def _find_in_nist(file: BinaryIO) -> tuple[int, int] | None:
    """NIST's header is text: its own size in the second line, then a name, type and value each."""
    file.seek(0)
    try:
        size = int(file.read(16).split()[1])
        file.seek(0)
        rows = [line.split() for line in file.read(size).decode("latin-1").splitlines()]
        values = {row[0]: row[2] for row in rows if len(row) == 3}
        names = ("sample_count", "sample_n_bytes")
        count, width = (int(values[name]) for name in names)
        return size, count * width * int(values.get("channel_count", 1))
    except (IndexError, KeyError, ValueError):
        return None
