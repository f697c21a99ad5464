"""The corpus: a manifest opened for training, with text columns aligned to its lines.

Millions of utterances are held as one block of bytes and two integer arrays; a line is parsed only
when it is asked for. Python objects per line would be copied into every loader worker, page by
page, as their reference counts change.

A column is a text file ``{split}.{name}`` beside the manifest ``{split}.tsv`` with one line for
each utterance (labels, boundaries, transcripts). ``{split}.{name}.json`` beside it says for which
manifest it was made and how many symbols per second its lines hold.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.audio.archives import file_of
from fairseq_budget.audio.io import read_audio
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, sha256_file
from fairseq_budget.manifest import (
    Utterance,
    hash_lines,
    parse_line,
    parse_size,
    read_lines,
)


class Lines:
    """Lines of text held as one block of bytes, each ended by a newline.

    `starts` (N + 1,) are their first bytes and the end of the block; found if they are not given.
    """

    def __init__(
        self, content: bytes | memoryview, starts: NDArray[np.int64] | None = None
    ) -> None:
        self._content = content
        self._starts = _find_starts(content) if starts is None else starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> bytes:
        if not 0 <= index < len(self):
            raise IndexError(f"line {index} of {len(self)}")
        return bytes(self._content[self._starts[index] : self._starts[index + 1] - 1])


class Column:
    """A line-aligned text file; `rate` is in symbols per second, None where that has no meaning.

    `description` is all that the json beside it says, the writer's own keys included.
    """

    def __init__(self, name: str, description: Mapping[str, Any], lines: Lines) -> None:
        self.name, self.description, self._lines = name, description, lines
        self.rate: float | None = description.get("rate")

    @classmethod
    def open(cls, manifest_path: str | Path, name: str, manifest_hash: str, size: int) -> Column:
        """Open column `name` of a manifest of `size` lines with hash `manifest_hash`.

        Raises BudgetError if the file or its json is missing, or they do not fit the manifest.
        """
        path = column_path(manifest_path, name)
        description = read_description(path)
        lines = Lines(_read_column(path))
        cure = f"write {path.name} again for {Path(manifest_path).name} as it is now"
        if description.get("manifest") != manifest_hash:
            raise BudgetError(f"{path} was made for another manifest than {manifest_path}; {cure}")
        if not len(lines) == description.get("num_lines") == size:
            raise BudgetError(
                f"{path} has {len(lines)} lines, but {manifest_path} has {size} utterances; {cure}"
            )
        return cls(name, description, lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> str:
        return self._lines[index].decode()

    def is_empty(self, index: int) -> bool:
        return not self[index]

    def numbers(self, index: int) -> NDArray[np.int64]:
        """The line as whole numbers (T,); ValueError or OverflowError if it is something else."""
        return np.array(self[index].split(), dtype=np.int64)


class Corpus:
    """The utterances of one split: their sizes, their audio and their columns.

    `sizes` (N,) int64 counts samples. Forked workers share all of it; a pickled corpus is only its
    path, read again on the other side.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.root, body = read_lines(path)
        self.hash = hash_lines(body)
        self._lines = Lines(body)
        self.sizes = _parse_sizes(body, path)
        self.columns = {
            name: Column.open(path, name, self.hash, len(self._lines)) for name in columns
        }

    @cached_property
    def by_size(self) -> NDArray[Any]:
        """Utterances (N,), longest first; equal ones in the manifest's order."""
        return np.argsort(-self.sizes, kind="stable")

    @cached_property
    def num_samples(self) -> int:
        """Samples of all utterances."""
        return int(self.sizes.sum())

    def open_column(self, name: str) -> Column:
        """The column `name` of this corpus; BudgetError says what does not fit."""
        return Column.open(self.path, name, self.hash, len(self))

    def has_column(self, name: str, **described: Any) -> bool:
        """Whether column `name` is there as it was written, for this corpus, and `described` so."""
        try:
            column = self.open_column(name)
        except BudgetError:
            return False
        described["sha256"] = sha256_file(column_path(self.path, name))
        return described.items() <= column.description.items()

    @classmethod
    def open(cls, manifest_path: str | Path, columns: Sequence[str] = ()) -> Corpus:
        """Open a manifest and the named columns beside it; BudgetError says what does not fit."""
        return cls(Path(manifest_path).absolute(), tuple(columns))

    def __len__(self) -> int:
        return len(self._lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.path, tuple(self.columns), self.hash)

    def utterance(self, index: int) -> Utterance:
        """The parsed line of utterance `index`."""
        return parse_line(self._lines[index], path=self.path, number=index + 2)

    def name(self, index: int) -> str:
        """Column 1 of the manifest: the utterance's path, or its joined pieces."""
        return self.utterance(index).name

    def read(
        self, index: int, start: int = 0, num_samples: int | None = None
    ) -> NDArray[np.float32]:
        """Samples [start, start + num_samples) of utterance `index`, by default all of it.

        Returns (S,) float32. Only the asked samples are decoded, from as many files as they lie in;
        of a file that is longer than its line says, what is beyond is never read. Raises
        BudgetError as `read_audio` does, or if the window does not lie within the utterance.
        """
        utterance = self.utterance(index)
        wanted = utterance.num_samples - start if num_samples is None else num_samples
        if start < 0 or wanted < 1 or start + wanted > utterance.num_samples:
            raise BudgetError(
                f"{self.path}, line {index + 2}: samples {start} to {start + wanted} were asked "
                f"for, but the utterance has {utterance.num_samples}; ask for samples within it"
            )
        parts = [
            read_audio(self.root / piece.path, piece.start, piece.num_samples)
            for piece in utterance.window(start, wanted)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def check_files(self) -> None:
        """Raise BudgetError, listing up to five files, if any file of the corpus is missing."""
        self._check_files_of(range(len(self)))

    def _check_files_of(self, indices: Iterable[int]) -> None:
        pieces = (piece for index in indices for piece in self.utterance(index).pieces)
        paths = {file_of(piece.path) for piece in pieces}
        missing = sorted(path for path in paths if not os.path.isfile(self.root / path))
        if missing:
            raise BudgetError(
                f"{len(missing)} of the {len(paths)} files of {self.path} are missing below "
                f"{self.root}: {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}; "
                "correct the root in line 1 or write the manifest again with budget-manifest"
            )


def column_path(manifest_path: str | Path, name: str) -> Path:
    """The text file of column `name`: ``train.km`` beside ``train.tsv``."""
    return Path(manifest_path).with_suffix(f".{name}")


def write_column(
    manifest_path: str | Path,
    name: str,
    lines: Iterable[str],
    rate: float | None,
    *,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write column `name` of a manifest, one line per utterance, and its description beside it.

    `rate` is in symbols per second (Hz); `more` joins the description, to be found again in
    `Column.description`. `lines` is consumed once and never held as a whole.
    Returns the path of the column. Raises BudgetError, and leaves an older column as it was, if the
    number of lines is not that of the utterances or a line holds a newline.
    """
    body = read_lines(manifest_path)[1]
    path, size = column_path(manifest_path, name), body.count(b"\n")
    with atomic_write(path) as file:
        num_lines = 0
        for num_lines, line in enumerate(lines, start=1):
            if "\n" in line:
                raise BudgetError(f"{path}, line {num_lines}: {line!r} is more than one line")
            file.write(f"{line}\n")
        if num_lines != size:
            raise BudgetError(
                f"{num_lines} lines for {path}, but {manifest_path} has {size} utterances; "
                "give one line for each"
            )
        # An old description must not describe the new text, should we be stopped in between.
        description_path(path).unlink(missing_ok=True)
    description = {"name": name, "rate": rate, "manifest": hash_lines(body), "num_lines": size}
    description["sha256"] = sha256_file(path)
    with atomic_write(description_path(path)) as file:
        file.write(json.dumps({**(more or {}), **description}, indent=2) + "\n")
    return path


def refuse_other_kind(
    manifest_path: Path, name: str, is_kind: Callable[[Mapping[str, Any]], bool]
) -> None:
    """Raise BudgetError if writing column `name` would replace one that is not of this kind."""
    path = column_path(manifest_path, name)
    try:
        description = read_description(path)
    except BudgetError:
        return
    if path.is_file() and not is_kind(description):
        raise BudgetError(
            f"{path} is there and is something else, which would be overwritten; choose another "
            "--name"
        )


def _reopen(path: Path, columns: Sequence[str], manifest_hash: str) -> Corpus:
    corpus = Corpus.open(path, columns)
    if corpus.hash != manifest_hash:
        raise BudgetError(f"{path} has changed since it was opened; start again")
    return corpus


def _find_starts(content: bytes | memoryview) -> NDArray[np.int64]:
    newlines = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n"))
    return np.concatenate([[0], newlines + 1])


def _parse_sizes(body: bytes, path: Path) -> NDArray[np.int64]:
    lines = enumerate(io.BytesIO(body), start=2)
    sizes = (parse_size(line, path=path, number=number) for number, line in lines)
    return np.fromiter(sizes, dtype=np.int64, count=body.count(b"\n"))


def description_path(path: Path) -> Path:
    """The json beside the text file of a column: ``train.km.json``."""
    return path.with_name(f"{path.name}.json")


def _read_column(path: Path) -> bytes:
    try:
        content = path.read_bytes().replace(b"\r\n", b"\n")
    except OSError as error:
        raise BudgetError(f"cannot read {path}: {error.strerror}; write it first") from error
    return content if content.endswith(b"\n") or not content else content + b"\n"


def read_description(path: Path) -> dict[str, Any]:
    """What ``{split}.{name}.json`` says; BudgetError if it is missing or no json object."""
    described = description_path(path)
    try:
        description = json.loads(described.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BudgetError(
            f"cannot read {described}, which says what {path.name} was made for ({error}); "
            f"write {path.name} again with the command that makes it"
        ) from error
    if not isinstance(description, dict):
        raise BudgetError(f"{described} holds no json object; write {path.name} again")
    return description
