"""Writing a packed split (packed.py): every line is checked once, in bounded memory.

What is packed are the manifest ``{split}.tsv`` and all columns beside it. A column with a rate
whose lines are whole numbers (labels, ends of segments) is stored as uint16, any other as its text.
Lists that grow with the corpus are written to unnamed temporary files beside the pack; sorting by
size, about 20 bytes per utterance, is all that is done in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fairseq_budget.audio.archives import file_of
from fairseq_budget.corpus import Column, Lines, column_path, read_description
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.labels.label_file import (
    CENTROIDS_KEY,
    Labels,
    check_dictionary,
    check_origin,
    read_info,
)
from fairseq_budget.manifest import Utterance, parse_line, parse_root
from fairseq_budget.pack_writer import Counts, PackWriter
from fairseq_budget.packed import FORMAT_VERSION, fingerprint, pack_path
from fairseq_budget.subset import column_names

_MAX_NUMBER = np.iinfo(np.uint16).max


def pack_split(manifest_path: str | Path, *, progress: bool = True) -> Path:
    """Write ``{split}.pack`` beside a manifest, atomically; returns its path.

    Raises BudgetError, and leaves an older pack as it was, for a line that is wrong, a file that is
    missing, a column that was made for another manifest, or labels that do not fit the audio.
    """
    manifest = Path(manifest_path).absolute()
    names = column_names(manifest)
    before = _fingerprint(manifest)
    with (
        atomic_write(pack_path(manifest), "wb") as file,
        ExitStack() as temporary,
        tqdm(desc=manifest.stem, unit=" lines", disable=None if progress else True) as bar,
    ):
        arrays = PackWriter(file, manifest.parent, temporary)
        split = _pack_manifest(arrays, manifest, bar)
        columns = {name: _ColumnPacker(split, name).pack(arrays, bar) for name in names}
        arrays.finish(
            {
                "format_version": FORMAT_VERSION,
                "root": str(split.root),
                "manifest": split.hash,
                "fingerprint": before,
                "num_utterances": len(split.sizes),
                "num_samples": int(split.sizes.sum()),
                "columns": columns,
            }
        )
    return pack_path(manifest)


class _Split:
    """What the columns of a manifest are held against."""

    def __init__(self, manifest: Path, root: Path, sizes: NDArray[np.int64], digest: str) -> None:
        self.manifest, self.root, self.sizes, self.hash = manifest, root, sizes, digest


def _pack_manifest(arrays: PackWriter, manifest: Path, bar: tqdm[Any]) -> _Split:
    starts, sizes = arrays.new_counts(), arrays.new_counts()
    with open(manifest, "rb") as file:
        root = parse_root(file.readline(), path=manifest)
        files = _Files(root)
        lines = _checked_lines(file, manifest, files, starts, sizes, bar)
        arrays.add("lines", "|u1", lines)
    if not sizes.file.tell():
        raise BudgetError(f"{manifest} holds no utterances; write it again with budget-manifest")
    files.require_all(manifest)
    arrays.add("lines.starts", "<i8", starts.blocks())
    arrays.add("sizes", "<i8", sizes.blocks())
    mapped = sizes.mapped()
    order = np.argsort(-mapped, kind="stable").astype("<u4")
    arrays.add("by_size", "<u4", [order.data])
    return _Split(manifest, root, mapped, arrays.sha256("lines"))


def _checked_lines(
    file: IO[bytes],
    manifest: Path,
    files: _Files,
    starts: Counts,
    sizes: Counts,
    bar: tqdm[Any],
) -> Iterator[bytes]:
    """The lines of a manifest behind its first, each ended by a lone newline, while they pass."""
    end, first_blank = 0, 0
    starts.append(end)
    for number, raw in enumerate(file, start=2):
        line = raw.rstrip(b"\r\n")
        if not line:  # allowed at the end of the file
            first_blank = first_blank or number
            continue
        utterance = parse_line(
            b"" if first_blank else line, path=manifest, number=first_blank or number
        )
        files.look_for(utterance)
        sizes.append(utterance.num_samples)
        end += len(line) + 1
        starts.append(end)
        bar.update()
        yield line + b"\n"


class _Files:
    """Looks for the files of utterances, and remembers the first five that are missing."""

    def __init__(self, root: Path) -> None:
        self._root, self._last = str(root), ""
        self._missing: list[str] = []
        self._num_missing = 0

    def look_for(self, utterance: Utterance) -> None:
        for piece in utterance.pieces:
            path = file_of(piece.path)
            if path != self._last and not os.path.isfile(f"{self._root}/{path}"):
                self._num_missing += 1
                self._missing = [*self._missing, path][:5]
            self._last = path

    def require_all(self, manifest: Path) -> None:
        if self._num_missing:
            raise BudgetError(
                f"{self._num_missing} files of {manifest} are missing below {self._root}: "
                f"{', '.join(self._missing)}; correct the root in line 1 or write the manifest "
                "again with budget-manifest"
            )


class _ColumnPacker(Column):
    """A column of which only the line that is being packed is known."""

    def __init__(self, split: _Split, name: str) -> None:
        self._path = column_path(split.manifest, name)
        super().__init__(name, read_description(self._path), Lines(b""))
        self._split, self._text = split, ""
        if self.description.get("manifest") != split.hash:
            raise BudgetError(
                f"{self._path} was made for another manifest than {split.manifest}; write it again"
            )

    def __len__(self) -> int:
        return len(self._split.sizes)

    def __getitem__(self, index: int) -> str:
        return self._text

    def pack(self, arrays: PackWriter, bar: tqdm[Any]) -> dict[str, Any]:
        """Write the column's arrays; returns its description."""
        starts = arrays.new_counts()
        if self._holds_numbers():
            array, dtype, blocks = f"{self.name}.values", "<u2", self._numbers(starts, bar)
        else:
            array, dtype, blocks = f"{self.name}.lines", "|u1", self._lines_of_text(starts, bar)
        arrays.add(array, dtype, blocks)
        arrays.add(f"{array}.starts", "<i8", starts.blocks())
        return dict(self.description)

    def _holds_numbers(self) -> bool:
        """Judged by the rate and the first line that is not empty; `_numbers` insists on it."""
        first = next((text for text in self._texts() if text.strip()), "")
        return self.rate is not None and all(word.isdecimal() for word in first.split())

    def _texts(self) -> Iterator[str]:
        with open(self._path, "rb") as file:
            num_lines = 0
            for num_lines, raw in enumerate(file, start=1):  # noqa: B007  # counted for below
                yield raw.rstrip(b"\r\n").decode()
        if not num_lines == self.description.get("num_lines") == len(self):
            raise BudgetError(
                f"{self._path} has {num_lines} lines, but {self._split.manifest} has {len(self)} "
                "utterances; write it again"
            )

    def _lines_of_text(self, starts: Counts, bar: tqdm[Any]) -> Iterator[bytes]:
        end = 0
        starts.append(end)
        for text in self._texts():
            line = f"{text}\n".encode()
            end += len(line)
            starts.append(end)
            bar.update()
            yield line

    def _numbers(self, starts: Counts, bar: tqdm[Any]) -> Iterator[bytes]:
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
        if CENTROIDS_KEY not in self.description:
            return None
        folder = self._split.manifest.parent
        info = read_info(folder)
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


def _fingerprint(manifest: Path) -> list[int]:
    try:
        return fingerprint(manifest)
    except OSError as error:
        raise BudgetError(
            f"cannot read the manifest {manifest}: {error.strerror}; write one with budget-manifest"
        ) from error
