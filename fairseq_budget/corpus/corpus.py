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
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.audio.archives import file_of
from fairseq_budget.audio.io import read_audio
from fairseq_budget.corpus.column import Column, Lines, column_path
from fairseq_budget.corpus.manifest import (
    Utterance,
    hash_lines,
    parse_line,
    parse_size,
    read_lines,
)
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import sha256_file


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


def _reopen(path: Path, columns: Sequence[str], manifest_hash: str) -> Corpus:
    corpus = Corpus.open(path, columns)
    if corpus.hash != manifest_hash:
        raise BudgetError(f"{path} has changed since it was opened; start again")
    return corpus


def _parse_sizes(body: bytes, path: Path) -> NDArray[np.int64]:
    lines = enumerate(io.BytesIO(body), start=2)
    sizes = (parse_size(line, path=path, number=number) for number, line in lines)
    return np.fromiter(sizes, dtype=np.int64, count=body.count(b"\n"))
