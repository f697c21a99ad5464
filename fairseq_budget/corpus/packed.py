"""A packed split: one file ``{split}.pack`` that is mapped into memory, not read.

The same lines as the manifest and its columns hold, with all that is computed from them
(pack_file.py). It opens in milliseconds whatever its size, holds nothing per utterance in Python,
and its pages are shared by all processes of a machine, none of which keeps many of them.
`packing.py` writes it; `open_corpus` chooses between the two forms, which training reads alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.corpus.column import (
    Column,
    Lines,
    column_path,
    description_path,
    read_description,
)
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.manifest import hash_lines, read_lines
from fairseq_budget.corpus.pack_file import Pack, PackedText, cure, fingerprint
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import sha256_file

NUM_CHECKED = 200  # files that are looked for when training starts; packing looked for all


class PackedColumn(Column):
    """A column of whole numbers: those of utterance i are `values[starts[i]:starts[i + 1]]`."""

    def __init__(
        self,
        name: str,
        description: Mapping[str, Any],
        pack: Pack,
    ) -> None:
        self._pack, self._values = pack, pack[f"{name}.values"]
        self._starts = pack.starts(f"{name}.values")
        super().__init__(name, description, Lines(b"", self._starts))

    def __getitem__(self, index: int) -> str:
        return " ".join(map(str, self.numbers(index)))

    def is_empty(self, index: int) -> bool:
        return bool(self._starts[index] == self._starts[index + 1])

    def numbers(self, index: int) -> NDArray[np.int64]:
        if not 0 <= index < len(self):
            raise IndexError(f"line {index} of {len(self)}")
        self._pack.count_access()
        return self._values[self._starts[index] : self._starts[index + 1]].astype(np.int64)


class _MappedLines(Lines):
    """Lines of a pack, whose pages are given back now and then."""

    def __init__(self, pack: Pack, name: str) -> None:
        super().__init__(pack.bytes(name).data, pack.starts(name))
        self._pack = pack

    def __getitem__(self, index: int) -> bytes:
        self._pack.count_access()
        return super().__getitem__(index)


class Packed:
    """The `Source` of a corpus that a pack is: all of it is mapped, and nothing is copied."""

    def __init__(self, path: Path) -> None:
        self.path, self.pack = path, Pack(path)
        header = self.pack.header
        self.root, self.hash = Path(header.root), header.manifest
        self.num_samples = header.num_samples
        self.sizes, self.by_size = self.pack["sizes"], self.pack["by_size"]
        self.lines: Lines = _MappedLines(self.pack, "lines")
        for name in ("sizes", "by_size"):
            if len(self.pack[name]) != header.num_utterances:
                raise self.pack.damaged(name)
        self._follow_manifest()

    def utterances_to_check(self) -> Iterable[int]:
        """A sample of all, at equal distances."""
        num_lines = len(self.lines)
        chosen = np.linspace(0, num_lines - 1, min(num_lines, NUM_CHECKED)).astype(int)
        return list(chosen)

    def open_column(self, name: str) -> Column:
        """The packed column; BudgetError if there is none, or its text was written again since."""
        packed = self.pack.header.columns.get(name)
        text = column_path(self.path, name)
        if packed is None:
            raise BudgetError(
                f"{self.path} has no column {name!r}; write it, then {cure(self.path)}"
            )
        if not _is_unchanged(text, packed):
            raise BudgetError(f"{text} is not the one in {self.path} any more; {cure(self.path)}")
        description = packed.description
        if f"{name}.values" not in self.pack.header.arrays:
            return Column(name, description, _MappedLines(self.pack, f"{name}.lines"))
        return PackedColumn(name, description, self.pack)

    def _follow_manifest(self) -> None:
        """Hold the pack against the manifest beside it, if there is one.

        The manifest is read only where its time or length changed; a moved corpus is then found
        where the manifest's first line says.
        """
        manifest = self.path.with_suffix(".tsv")
        if not manifest.is_file() or fingerprint(manifest) == self.pack.header.fingerprint:
            return
        self.root, body = read_lines(manifest)
        if hash_lines(body) != self.hash:
            raise BudgetError(
                f"{self.path} was made of another {manifest.name} than the one beside it; "
                f"{cure(self.path)}, or remove it"
            )


def open_pack(path: str | Path, columns: Sequence[str] = ()) -> Corpus:
    """Open ``{split}.pack``; BudgetError if it does not fit the manifest or a column beside it."""
    return Corpus(Packed, path, columns)


def open_corpus(folder: str | Path, split: str, columns: Sequence[str] = ()) -> Corpus:
    """Open a split of a folder: packed if it was packed, else its manifest and columns.

    Raises BudgetError for a pack that does not fit the manifest or a column beside it.
    """
    manifest = Path(folder) / f"{split}.tsv"
    pack = pack_path(manifest)
    return open_pack(pack, columns) if pack.is_file() else read_text(manifest, columns)


def pack_path(manifest_path: Path) -> Path:
    return manifest_path.with_suffix(".pack")


def _is_unchanged(text: Path, packed: PackedText) -> bool:
    """Whether a column is what was packed, or gone; read only where its time alone changed."""
    if description_path(text).is_file() and read_description(text) != packed.description:
        return False
    if not text.is_file() or fingerprint(text) == packed.fingerprint:
        return True
    has_its_length = [text.stat().st_size] == packed.fingerprint[:1]
    return has_its_length and sha256_file(text) == packed.sha256
