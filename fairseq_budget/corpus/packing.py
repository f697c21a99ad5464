"""Writing a packed split (packed.py): every line is checked once, in bounded memory.

What is packed are the manifest ``{split}.tsv`` and all columns beside it (pack_columns.py).
Lists that grow with the corpus are written to unnamed temporary files beside the pack; sorting by
size, about 20 bytes per utterance, is all that is done in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from fairseq_budget.audio.archives import file_of
from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.column import column_names
from fairseq_budget.corpus.manifest import Utterance, parse_line, parse_root
from fairseq_budget.corpus.pack_columns import ColumnPacker, Split
from fairseq_budget.corpus.pack_file import FORMAT_VERSION, Counts, PackWriter, fingerprint
from fairseq_budget.corpus.packed import pack_path
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.run.lock import hold


def pack_split(manifest_path: str | Path, *, progress: bool = True) -> Path:
    """Write ``{split}.pack`` beside a manifest, atomically; returns its path.

    Raises BudgetError, and leaves an older pack as it was, for a line that is wrong, a file that is
    missing, a column that was made for another manifest, or labels that do not fit the audio; and
    where another process is packing the split.
    """
    manifest = Path(manifest_path).absolute()
    pack, names, before = pack_path(manifest), column_names(manifest), _fingerprint(manifest)
    with (
        hold(pack.with_name(f".{pack.name}.lock"), str(pack), "another split"),
        atomic_write(pack, "wb") as file,
        ExitStack() as temporary,
        Progress(desc=manifest.stem, unit=" lines", disable=not progress) as bar,
    ):
        arrays = PackWriter(file, manifest.parent, temporary)
        split = _pack_manifest(arrays, manifest, bar)
        columns = {name: ColumnPacker(split, name).pack(arrays, bar) for name in names}
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
    return pack


def _pack_manifest(arrays: PackWriter, manifest: Path, bar: Progress) -> Split:
    starts, sizes = arrays.new_counts(), arrays.new_counts()
    with manifest.open("rb") as file:
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
    return Split(manifest, root, mapped, arrays.sha256("lines"))


def _checked_lines(
    file: IO[bytes],
    manifest: Path,
    files: _Files,
    starts: Counts,
    sizes: Counts,
    bar: Progress,
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
            if path != self._last and not os.path.isfile(os.path.join(self._root, path)):
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


def _fingerprint(manifest: Path) -> list[int]:
    try:
        return fingerprint(manifest)
    except OSError as error:
        raise BudgetError(
            f"cannot read the manifest {manifest}: {error.strerror}; write one with budget-manifest"
        ) from error
