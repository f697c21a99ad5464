"""The frames of an mp3, counted: without a Xing header its length stands nowhere.

libsndfile then guesses a length from the file's size and the first frame's bit rate, and reads no
further. So the frames are counted here, and libsndfile is given a stream that begins with a header
which says how many there are. Frame headers are those of ISO/IEC 11172-3, section 2.4.1.3, and
13818-3; the Xing header is that of the encoder LAME.
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from fairseq_budget.audio.archives import BytesView

_KBPS = {  # bit rates by version 1 or not, and layer; index 0 is "free", 15 is forbidden
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_SAME_STREAM = 0xFFFE0C00  # the bits of a frame's header that all frames share
_IS_MONO = 3
_NO_CHECKSUM = 1 << 16
_XING = struct.Struct(">4sII")
_HAS_FRAMES, _HAS_BYTES = 1, 2
_TAGS = 4096  # bytes that may follow the last frame, or be counted otherwise
_SEARCHED = 1 << 16  # bytes at a time


@dataclass(frozen=True)
class Frame:
    """A frame's header: `size` in bytes, `num_samples` per channel, `side_info` in bytes."""

    word: int
    size: int
    num_samples: int
    side_info: int

    @classmethod
    def parse(cls, header: bytes) -> Frame | None:
        """The frame that begins with these 4 bytes; None if none does."""
        if len(header) < 4 or header[0] != 0xFF:
            return None
        (word,) = struct.unpack(">I", header)
        version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
        rate, bits = word >> 10 & 3, word >> 12 & 15
        if word >> 21 != 0x7FF or version == 1 or layer == 4 or rate == 3 or not 0 < bits < 15:
            return None
        first = version == 3
        num_samples = {1: 384, 2: 1152, 3: 1152 if first else 576}[layer]
        slot = 4 if layer == 1 else 1  # bytes are counted in these
        bytes_per_second = _KBPS[first, layer][bits - 1] * 125
        slots = num_samples * bytes_per_second // (_RATES[version][rate] * slot) + (word >> 9 & 1)
        is_mono = word >> 6 & 3 == _IS_MONO
        side_info = (17 if is_mono else 32) if first else (9 if is_mono else 17)
        return cls(word, slots * slot, num_samples, side_info)

    def is_of_one_stream_with(self, other: Frame) -> bool:
        return not (self.word ^ other.word) & _SAME_STREAM


_parse = lru_cache(4096)(Frame.parse)  # a file's headers are few, and stand in it again and again


@dataclass(frozen=True)
class Stream:
    """An mp3's frames: where they begin, how many there are and how many the header promises.

    `promised` is None without a header (Xing's, "Info" in constant rate, or Fraunhofer's VBRI).
    """

    start: int
    first: Frame
    num_frames: int
    promised: int | None

    @property
    def num_missing(self) -> int:
        return max(0, (self.promised or 0) - self.num_frames)

    @property
    def says_its_length(self) -> bool:
        """Whether what the header says is all that is there, but for a frame of padding."""
        return self.promised is not None and self.num_frames <= self.promised + 1


def find_stream(file: BinaryIO) -> Stream | None:
    """Count the frames of an mp3; None where there are none, or they are of a free bit rate.

    Where a header's bytes are those of the file, its frames are believed and not counted.
    """
    start = _next_frame(file, _after_tags(file))
    if start is None:
        return None
    file.seek(start)
    first = _parse(file.read(4))
    if first is None:
        return None
    promised, num_bytes = _promised(file, start, first)
    if promised is not None and abs(file.seek(0, os.SEEK_END) - start - num_bytes) <= _TAGS:
        return Stream(start, first, promised, promised)
    if promised is not None:
        start += first.size  # the header stands in a frame of its own
    return Stream(start, first, _count(file, start, first), promised)


def with_length(file: BinaryIO, stream: Stream) -> BinaryIO:
    """The frames of `stream` behind a Xing header that says how many there are."""
    frame = stream.first
    header = bytearray(max(frame.size, 4 + frame.side_info + _XING.size))
    struct.pack_into(">I", header, 0, frame.word | _NO_CHECKSUM)
    fields = (b"Xing", _HAS_FRAMES, stream.num_frames)
    _XING.pack_into(header, 4 + frame.side_info, *fields)
    return io.BufferedReader(_Behind(bytes(header[: frame.size]), file, stream.start))


def _after_tags(file: BinaryIO) -> int:
    """The first byte behind ID3v2 tags."""
    position = 0
    while True:
        file.seek(position)
        tag = file.read(10)
        if len(tag) < 10 or tag[:3] != b"ID3":
            return position
        size = sum((byte & 127) << 7 * (3 - place) for place, byte in enumerate(tag[6:]))
        position += 10 + size + (10 if tag[5] & 16 else 0)  # a footer repeats the header


def _next_frame(file: BinaryIO, position: int, like: Frame | None = None) -> int | None:
    """Start of the next frame that another one, or the end of the file, follows."""
    while True:
        file.seek(position)
        block = file.read(_SEARCHED)
        if len(block) < 4:
            return None
        place = -1
        while (place := block.find(b"\xff", place + 1, len(block) - 3)) >= 0:
            frame = _parse(block[place : place + 4])
            if frame is None or (like is not None and not frame.is_of_one_stream_with(like)):
                continue
            file.seek(position + place + frame.size)
            after = file.read(4)
            following = _parse(after)
            if not after or (following is not None and following.is_of_one_stream_with(frame)):
                return position + place
        position += len(block) - 3


def _count(file: BinaryIO, start: int, first: Frame) -> int:
    """Whole frames from `start` on, what is not one of them skipped."""
    position: int | None = start
    count, end = 0, file.seek(0, os.SEEK_END)
    while position is not None and position < end:
        file.seek(position)
        frame = _parse(file.read(4))
        if frame is None or not frame.is_of_one_stream_with(first):
            position = _next_frame(file, position + 1, first)
        else:
            position += frame.size
            count += position <= end
    return count


def _promised(file: BinaryIO, start: int, first: Frame) -> tuple[int | None, int]:
    """Frames and bytes that the header in the first frame promises; None and 0 without one."""
    file.seek(start)
    frame = file.read(first.size)
    for place, kinds in ((4 + first.side_info, (b"Xing", b"Info")), (36, (b"VBRI",))):
        body = frame[place : place + 18]
        if len(body) < 18 or body[:4] not in kinds:
            continue
        if body[:4] == b"VBRI":
            num_bytes, num_frames = struct.unpack(">II", body[10:18])
            return num_frames, num_bytes
        (flags,) = struct.unpack(">I", body[4:8])
        if flags & _HAS_FRAMES:
            num_frames, num_bytes = struct.unpack(">II", body[8:16])
            return num_frames, num_bytes if flags & _HAS_BYTES else 0
    return None, 0


class _Behind(BytesView):
    """`head`, then the bytes of a file from `start` on, as one file."""

    def __init__(self, head: bytes, file: BinaryIO, start: int) -> None:
        self._head, self._file, self._shift = head, file, start - len(head)
        super().__init__(file.seek(0, os.SEEK_END) - self._shift)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._position < len(self._head):
            content = self._head[self._position : self._position + len(buffer)]
        else:
            self._file.seek(self._position + self._shift)
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)
