"""A split as text: its manifest and the columns beside it, read whole."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.corpus.column import Column, Lines
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.manifest import hash_lines, parse_size, read_lines


def read_text(manifest_path: str | Path, columns: Sequence[str] = ()) -> Corpus:
    """Read a manifest and the named columns beside it; BudgetError says what does not fit."""
    return Corpus(Text, manifest_path, columns)


class Text:
    """The `Source` of a corpus that a manifest is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root, body = read_lines(path)
        self.hash, self.lines = hash_lines(body), Lines(body)
        self.sizes = _parse_sizes(body, path)

    @cached_property
    def by_size(self) -> NDArray[Any]:
        return np.argsort(-self.sizes, kind="stable")

    @cached_property
    def num_samples(self) -> int:
        return int(self.sizes.sum())

    def open_column(self, name: str) -> Column:
        return Column.open(self.path, name, self.hash, len(self.lines))

    def utterances_to_check(self) -> Iterable[int]:
        return range(len(self.lines))


def _parse_sizes(body: bytes, path: Path) -> NDArray[np.int64]:
    lines = enumerate(io.BytesIO(body), start=2)
    sizes = (parse_size(line, path=path, number=number) for number, line in lines)
    return np.fromiter(sizes, dtype=np.int64, count=body.count(b"\n"))
