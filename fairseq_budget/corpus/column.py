"""Columns: text files beside a manifest with one line for each utterance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.corpus.manifest import hash_lines, read_lines
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.structured import Range, check_entries, read_json

_KINDS = {  # of what a description says; writers add keys of their own
    "rate": Annotated[float, Range(1e-3, SAMPLE_RATE)] | None,
    "manifest": str,
    "num_lines": int,
    "sha256": str,
}


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
        self.sha256: str | None = description.get("sha256")  # None in files of other programs

    @classmethod
    def open(cls, manifest_path: str | Path, name: str, manifest_hash: str, size: int) -> Column:
        """Open column `name` of a manifest of `size` lines with hash `manifest_hash`.

        Raises BudgetError if the file or its json is missing, they do not fit the manifest, or the
        file is not what was written.
        """
        path = column_path(manifest_path, name)
        description = read_description(path)
        content = _read_column(path)
        lines = Lines(content)
        cure = f"write {path.name} again for {Path(manifest_path).name} as it is now"
        if description.get("manifest") != manifest_hash:
            raise BudgetError(f"{path} was made for another manifest than {manifest_path}; {cure}")
        if not len(lines) == description.get("num_lines") == size:
            raise BudgetError(
                f"{path} has {len(lines)} lines, but {manifest_path} has {size} utterances; {cure}"
            )
        written = description.get("sha256")  # none in files of other programs
        if written is not None and hashlib.sha256(content).hexdigest() != written:
            raise BudgetError(f"{path} has changed since it was written (by its SHA-256); {cure}")
        return cls(name, description, lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> str:
        try:
            return self._lines[index].decode()
        except UnicodeDecodeError as error:
            raise BudgetError(
                f"line {index + 1} of column {self.name!r}: {error}; write it again"
            ) from error

    def is_empty(self, index: int) -> bool:
        return not self[index]

    def numbers(self, index: int) -> NDArray[np.int64]:
        """The line as whole numbers (T,); ValueError or OverflowError if it is something else."""
        return np.array(self[index].split(), dtype=np.int64)


class SplitColumn:
    """A column of the split `split` of `folder`, for what reads its lines as something."""

    def __init__(self, folder: Path, split: str, column: Column) -> None:
        self.folder, self.split, self.column = folder, split, column

    def __len__(self) -> int:
        return len(self.column)

    def is_known(self, index: int) -> bool:
        """Whether utterance `index` has any: none where its audio could not be read."""
        return not self.column.is_empty(index)

    @property
    def path(self) -> Path:
        return column_path(self.folder / f"{self.split}.tsv", self.column.name)


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
    described, digest, num_lines = description_path(path), hashlib.sha256(), 0
    with atomic_write(path) as file:
        for num_lines, line in enumerate(lines, start=1):
            if "\n" in line:
                raise BudgetError(f"{path}, line {num_lines}: {line!r} is more than one line")
            file.write(f"{line}\n")
            digest.update(f"{line}\n".encode())
        if num_lines != size:
            raise BudgetError(
                f"{num_lines} lines for {path}, but {manifest_path} has {size} utterances; "
                "give one line for each"
            )
        description = {"name": name, "rate": rate, "manifest": hash_lines(body), "num_lines": size}
        description["sha256"] = digest.hexdigest()
        content = json.dumps({**(more or {}), **description}, indent=2) + "\n"
        # An old description must not describe the new text, should we be stopped in between; one
        # that does stays, so that a column which several write at once is never without.
        if described.is_file() and described.read_bytes() != content.encode():
            described.unlink(missing_ok=True)
    with atomic_write(described) as file:
        file.write(content)
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


def _find_starts(content: bytes | memoryview) -> NDArray[np.int64]:
    newlines = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n"))
    return np.concatenate([[0], newlines + 1])


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
    """Read ``{split}.{name}.json``; BudgetError if it is missing or no json object."""
    described = description_path(path)
    try:
        description: dict[str, Any] = read_json(described, dict)
        check_entries(description, _KINDS)
    except (OSError, ValueError) as error:
        raise BudgetError(
            f"cannot read {described}, which says what {path.name} was made for ({error}); "
            f"write {path.name} again with the command that makes it"
        ) from error
    return description


def column_names(manifest_path: str | Path) -> list[str]:
    """Names of the columns beside a manifest, sorted: text files with a description."""
    path = Path(manifest_path)
    found = sorted(path.parent.glob(f"{path.stem}.*.json"))
    names = [file.name.removeprefix(f"{path.stem}.").removesuffix(".json") for file in found]
    # a name with a dot belongs to a manifest whose own name has one
    return [name for name in names if "." not in name and column_path(path, name).is_file()]


def remove_stale_columns(manifest_path: str | Path) -> list[Path]:
    """Remove the columns beside a manifest that were made for another one; returns their paths."""
    body = read_lines(manifest_path)[1]
    stale = []
    for name in column_names(manifest_path):
        path = column_path(manifest_path, name)
        try:
            Column.open(manifest_path, name, hash_lines(body), body.count(b"\n"))
        except BudgetError:
            path.unlink()
            path.with_name(f"{path.name}.json").unlink()
            stale.append(path)
    return stale
