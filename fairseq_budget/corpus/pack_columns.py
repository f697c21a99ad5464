"""The columns of a packed split: what is checked of them, and how they are stored.

Labels, and other columns with a rate whose lines are whole numbers (ends of segments), are stored
as uint16; any other as its text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.column import Column, Lines, column_path, read_description
from fairseq_budget.corpus.column_kinds import is_label_set
from fairseq_budget.corpus.labels import (
    Labels,
    check_dictionary,
    check_origin,
    read_info,
)
from fairseq_budget.corpus.pack_file import Counts, PackWriter, fingerprint
from fairseq_budget.errors import BudgetError

_MAX_NUMBER = np.iinfo(np.uint16).max


class Split:
    """The manifest that its columns are held against."""

    def __init__(self, manifest: Path, root: Path, sizes: NDArray[np.int64], digest: str) -> None:
        self.manifest, self.root, self.sizes, self.hash = manifest, root, sizes, digest


class ColumnPacker(Column):
    """A column of which only the line that is being packed is known."""

    def __init__(self, split: Split, name: str) -> None:
        self._path = column_path(split.manifest, name)
        super().__init__(name, read_description(self._path), Lines(b""))
        self._split, self._text = split, ""
        self._fingerprint, self._digest = fingerprint(self._path), hashlib.sha256()
        self._written = hashlib.sha256()  # of its lines, whatever ends them
        if self.description.get("manifest") != split.hash:
            raise BudgetError(
                f"{self._path} was made for another manifest than {split.manifest}; write it again"
            )

    def __len__(self) -> int:
        return len(self._split.sizes)

    def __getitem__(self, index: int) -> str:
        return self._text

    def pack(self, arrays: PackWriter, bar: Progress) -> dict[str, Any]:
        """Write the column's arrays; returns its description, and what tells its file from others.

        Raises BudgetError for lines that are wrong, or not as many as there are utterances.
        """
        starts = arrays.new_counts()
        if self._holds_numbers():
            array, dtype, blocks = f"{self.name}.values", "<u2", self._numbers(starts, bar)
        else:
            array, dtype, blocks = f"{self.name}.lines", "|u1", self._lines_of_text(starts, bar)
        arrays.add(array, dtype, blocks)
        arrays.add(f"{array}.starts", "<i8", starts.blocks())
        if self.sha256 not in (None, self._written.hexdigest()):
            raise BudgetError(
                f"{self._path} has changed since it was written (by its SHA-256); write it again"
            )
        return {
            "description": dict(self.description),
            "fingerprint": self._fingerprint,
            "sha256": self._digest.hexdigest(),
        }

    def _holds_numbers(self) -> bool:
        """Whether it is labels; else judged by the rate and the first line that is not empty.

        `_numbers` insists on it.
        """
        if is_label_set(self.description):
            return True
        first = next((text for text in self._texts() if text.strip()), "")
        return self.rate is not None and all(word.isdecimal() for word in first.split())

    def _texts(self) -> Iterator[str]:
        self._digest, self._written = hashlib.sha256(), hashlib.sha256()
        with self._path.open("rb") as file:
            num_lines = 0
            for num_lines, raw in enumerate(file, start=1):
                line = raw.rstrip(b"\r\n")
                self._digest.update(raw)
                self._written.update(line + b"\n")
                yield self._decode(line, num_lines)
        if not num_lines == self.description.get("num_lines") == len(self):
            raise BudgetError(
                f"{self._path} has {num_lines} lines, but {self._split.manifest} has {len(self)} "
                "utterances; write it again"
            )

    def _decode(self, line: bytes, number: int) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise BudgetError(f"{self._path}, line {number}: {error}; write it again") from error

    def _lines_of_text(self, starts: Counts, bar: Progress) -> Iterator[bytes]:
        end = 0
        starts.append(end)
        for text in self._texts():
            line = f"{text}\n".encode()
            end += len(line)
            starts.append(end)
            bar.update()
            yield line

    def _numbers(self, starts: Counts, bar: Progress) -> Iterator[bytes]:
        labels, end = self._labels(), 0
        starts.append(end)
        for index, text in enumerate(self._texts()):
            self._text = text
            if labels is not None:
                numbers = labels.check_line(index, int(self._split.sizes[index]))
            else:
                numbers = self._checked_numbers(index)
            end += len(numbers)
            starts.append(end)
            bar.update()
            yield numbers.astype("<u2").tobytes()

    def _labels(self) -> Labels | None:
        """The label file that this column is, after the checks of all that is not in its lines."""
        if not is_label_set(self.description):
            return None
        folder = self._split.manifest.parent
        info = read_info(folder, self.name)
        if info.num_clusters > _MAX_NUMBER + 1:
            raise BudgetError(
                f"{self._path} has labels of {info.num_clusters} clusters, but packed ones are at "
                f"most {_MAX_NUMBER + 1}; use fewer clusters, or train unpacked"
            )
        check_dictionary(folder, info, self.name)
        labels = Labels(folder, self._split.manifest.stem, self, info)
        check_origin(labels)
        return labels

    def _checked_numbers(self, index: int) -> NDArray[np.int64]:
        try:
            numbers = self.numbers(index)
        except (ValueError, OverflowError) as error:
            raise BudgetError(f"{self._path}, line {index + 1}: {error}; write it again") from error
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() <= _MAX_NUMBER:
            raise BudgetError(
                f"{self._path}, line {index + 1}: {numbers.max()} does not lie within 0 and "
                f"{_MAX_NUMBER}, as packed numbers must; cut the utterance, or train unpacked"
            )
        return numbers
