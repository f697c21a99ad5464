"""The manifest: which audio a split holds, in fairseq's own text format.

The first line is the absolute root folder; every other line is ``relpath<TAB>num_samples``. In
place of a path, the first column may join pieces of files, counted in samples::

    a.wav@16000+8000|b.wav@0+8000       half a second of a.wav from second 1, then half of b.wav

A plain path stays plain, so stock fairseq reads every manifest without joined pieces. The hash of a
manifest leaves the root line out: a corpus that moved to another folder keeps its hash.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write

_PIECE = re.compile(r"(?P<path>[^|]+)@(?P<start>\d{1,12})\+(?P<num_samples>\d{1,12})")
# Numbers are written in one way only, or a manifest would have two hashes; 12 digits are two years.
_SIZE = re.compile(rb"[1-9][0-9]{0,11}")
_REBUILD = "correct the line, or write the manifest again with budget-manifest"


class Piece(NamedTuple):
    """A run of samples of one file; `num_samples` None means the whole file, from sample 0 on."""

    path: str
    start: int = 0
    num_samples: int | None = None

    def __str__(self) -> str:
        return self.path if self.num_samples is None else self._segment()

    def _segment(self) -> str:
        text = f"{self.path}@{self.start}+{self.num_samples}"
        if "|" in self.path:
            raise BudgetError(f"the path {self.path!r} holds a '|', which joins pieces; rename it")
        return text


class Utterance(NamedTuple):
    """One line of a manifest: pieces that are joined in order, `num_samples` long in all."""

    pieces: tuple[Piece, ...]
    num_samples: int

    @property
    def name(self) -> str:
        """Column 1 of the manifest: the path, or the joined pieces."""
        return "|".join(map(str, self.pieces))

    @property
    def segments(self) -> tuple[Piece, ...]:
        """The pieces with their lengths spelled out, that of a whole file included."""
        if self.pieces[0].num_samples is not None:
            return self.pieces
        return (Piece(self.pieces[0].path, 0, self.num_samples),)

    def window(self, start: int, num_samples: int) -> list[Piece]:
        """The pieces that make up the samples [start, start + num_samples) of this utterance."""
        window, offset = [], 0
        for piece in self.segments:
            length = piece.num_samples or 0
            first = max(start - offset, 0)
            last = min(start + num_samples - offset, length)
            if first < last:
                window.append(Piece(piece.path, piece.start + first, last - first))
            offset += length
        return window


@dataclass(frozen=True)
class Manifest:
    """A root folder and the utterances below it, in file order."""

    root: Path
    utterances: Sequence[Utterance]

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        """Read and check a manifest; BudgetError names the file, the line and the cure."""
        root, body = read_lines(path)
        lines = enumerate(body.split(b"\n")[:-1], start=2)
        return cls(root, [parse_line(line, path=path, number=number) for number, line in lines])

    def write(self, path: str | Path) -> None:
        """Write the manifest atomically, missing folders included."""
        with atomic_write(path, "wb") as file:
            file.write(f"{self.root}\n".encode())
            file.write(self._body)

    @property
    def hash(self) -> str:
        """SHA-256 of the utterance lines; the root line does not count."""
        return hash_lines(self._body)

    @cached_property
    def _body(self) -> bytes:
        return "".join(f"{utt.name}\t{utt.num_samples}\n" for utt in self.utterances).encode()


def hash_lines(body: bytes) -> str:
    """The hash of a manifest whose utterance lines, as `read_lines` returns them, are `body`."""
    return hashlib.sha256(body).hexdigest()


def read_lines(path: str | Path) -> tuple[Path, bytes]:
    r"""The root folder and the utterance lines as bytes, each ended by a lone ``\n``.

    Only the root line is checked here; `parse_line` checks the others. Raises BudgetError for a
    file that cannot be read, has no absolute root in its first line, or holds no utterances.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BudgetError(
            f"cannot read the manifest {path}: {error.strerror}; {_cure_of_missing(Path(path))}"
        ) from error
    first, _, body = content.replace(b"\r\n", b"\n").partition(b"\n")
    root = parse_root(first, path=path)
    body = body.rstrip(b"\n")
    if not body:
        raise BudgetError(f"{path} holds no utterances; write it again with budget-manifest")
    return root, body + b"\n"


def _cure_of_missing(path: Path) -> str:
    if path.with_suffix(".pack").is_file():
        return "packs are for training: restore the manifest that the .pack beside it was made of"
    return "write one with budget-manifest"


def parse_root(line: bytes, *, path: str | Path) -> Path:
    """The absolute root folder in the first line of the manifest `path`."""
    root = Path(line.decode(errors="replace").rstrip("\t\r\n"))  # its name may end in a blank
    if not root.is_absolute() or b"\t" in line.strip():
        raise BudgetError(
            f"{path}, line 1: {str(root)!r} is no absolute root folder; "
            "put the folder that the paths are relative to in the first line"
        )
    return root


def parse_size(line: bytes, *, path: str | Path, number: int) -> int:
    """The number of samples in line `number` of `path`, after checking that it has two columns."""
    columns = line.split(b"\t")
    if len(columns) != 2:
        raise BudgetError(
            f"{path}, line {number}: {len(columns)} column(s) instead of path<TAB>num_samples "
            f"({_shown(line)}); {_REBUILD}"
        )
    size = columns[1].rstrip(b"\r\n")
    if not _SIZE.fullmatch(size):
        raise BudgetError(
            f"{path}, line {number}: {_shown(size)} is no positive number of samples; {_REBUILD}"
        )
    return int(size)


def parse_line(line: bytes, *, path: str | Path, number: int) -> Utterance:
    """The utterance in line `number` (counted from 1) of the manifest `path`."""
    size = parse_size(line, path=path, number=number)
    try:
        name = line.split(b"\t")[0].decode()
        return parse_utterance(name, size)
    except ValueError as error:  # bytes that are not UTF-8, or pieces that do not fit
        raise BudgetError(f"{path}, line {number}: {error}; {_REBUILD}") from error


def parse_utterance(name: str, num_samples: int) -> Utterance:
    """The utterance that column 1 `name` and column 2 `num_samples` describe.

    Raises BudgetError for joined pieces that are malformed or not `num_samples` long in all.
    """
    if not name or "\0" in name:
        raise BudgetError(f"{name!r} is no path")
    matches = [_PIECE.fullmatch(part) for part in name.split("|")] if "@" in name else []
    if not any(matches):
        return Utterance((Piece(name),), num_samples)
    pieces = tuple(
        Piece(match["path"], int(match["start"]), int(match["num_samples"]))
        for match in matches
        if match
    )
    is_ours = "|".join(map(str, pieces)) == name  # numbers are not 007
    if not is_ours or not all(piece.num_samples for piece in pieces):
        raise BudgetError(f"{name!r} does not read path@start+length|path@start+length|...")
    total = sum(piece.num_samples or 0 for piece in pieces)
    if total != num_samples:
        raise BudgetError(f"the pieces {name!r} add up to {total} samples, not {num_samples}")
    return Utterance(pieces, num_samples)


def _shown(text: bytes) -> str:
    """Bytes as they may stand in an error message, long lines shortened."""
    return repr(text.decode(errors="replace")[:80])
