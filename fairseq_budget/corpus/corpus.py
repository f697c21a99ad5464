"""The corpus: one split opened for training, with columns aligned to its lines.

Millions of utterances are held as one block of bytes and two integer arrays; a line is parsed only
when it is asked for. Python objects per line would be copied into every loader worker, page by
page, as their reference counts change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.audio.archives import file_of
from fairseq_budget.audio.io import read_audio
from fairseq_budget.corpus.column import Column, Lines, column_path
from fairseq_budget.corpus.manifest import Utterance, parse_line
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import sha256_file


class Source(Protocol):
    """The form of a split on disk: a manifest (plain.py) or a pack (packed.py)."""

    path: Path
    root: Path
    hash: str  # of the manifest's lines
    lines: Lines
    sizes: NDArray[np.int64]

    @property
    def by_size(self) -> NDArray[Any]: ...

    @property
    def num_samples(self) -> int: ...

    def open_column(self, name: str) -> Column: ...

    def utterances_to_check(self) -> Iterable[int]:
        """Utterances whose files are looked for before a run."""


class Corpus:
    """The utterances of one split: their sizes, their audio and their columns.

    `sizes` (N,) int64 counts samples; `by_size` (N,) are the utterances, longest first, equal ones
    in the manifest's order. Forked workers share all of it; a pickled corpus is only its path,
    opened again on the other side.
    """

    def __init__(
        self, open_source: Callable[[Path], Source], path: str | Path, columns: Sequence[str]
    ) -> None:
        self._open_source = open_source
        self.source = source = open_source(Path(path).absolute())
        self.path, self.root, self.hash = source.path, source.root, source.hash
        self.sizes = source.sizes
        self.columns = {name: self.open_column(name) for name in columns}

    def __len__(self) -> int:
        return len(self.source.lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._open_source, self.path, tuple(self.columns), self.hash)

    @property
    def by_size(self) -> NDArray[Any]:
        return self.source.by_size

    @property
    def num_samples(self) -> int:
        """Samples of all utterances."""
        return self.source.num_samples

    def open_column(self, name: str) -> Column:
        """The column `name` of this corpus; BudgetError says what does not fit."""
        return self.source.open_column(name)

    def has_column(self, name: str, **described: Any) -> bool:
        """Whether column `name` is there as it was written, for this corpus, and `described` so."""
        try:
            column = self.open_column(name)
        except BudgetError:
            return False
        described["sha256"] = sha256_file(column_path(self.path, name))
        return described.items() <= column.description.items()

    def utterance(self, index: int) -> Utterance:
        """The parsed line of utterance `index`."""
        utterance = parse_line(self.source.lines[index], path=self.path, number=index + 2)
        if utterance.num_samples != self.sizes[index]:  # of a pack that has changed
            raise BudgetError(
                f"{self.path}, line {index + 2}: {utterance.num_samples} samples, but "
                f"{self.sizes[index]} stand beside them; the file is damaged, make it again"
            )
        return utterance

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
        """Raise BudgetError, listing up to five files, if files of the corpus are missing.

        All of a manifest's are looked for; a sample of a pack's, whose making looked for all.
        """
        indices = self.source.utterances_to_check()
        pieces = (piece for index in indices for piece in self.utterance(index).pieces)
        paths = {file_of(piece.path) for piece in pieces}
        missing = sorted(path for path in paths if not (self.root / path).is_file())
        if missing:
            raise BudgetError(
                f"{len(missing)} of the {len(paths)} files of {self.path} are missing below "
                f"{self.root}: {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}; "
                "correct the root in line 1 or write the manifest again with budget-manifest"
            )


def _reopen(
    open_source: Callable[[Path], Source], path: Path, columns: Sequence[str], digest: str
) -> Corpus:
    corpus = Corpus(open_source, path, columns)
    if corpus.hash != digest:
        raise BudgetError(f"{path} has changed since it was opened; start again")
    return corpus
