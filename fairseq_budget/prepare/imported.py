"""Manifests made of what other toolkits have: Lhotse's cuts and Kaldi's folders (kaldi_folder.py).

Both are read line by line, without those toolkits, into ``{split}.tsv`` and a column of transcripts
``{split}.txt`` where there are any; k-means labels of cuts, where k2SSL puts them, become labels to
train on if they are asked for. Only recordings that are plain 16 kHz mono files are taken:
nothing read from a file is executed, so a pipe in ``wav.scp`` is refused, not run.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fairseq_budget.audio.io import audio_info
from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.column import column_path, description_path
from fairseq_budget.corpus.column_kinds import CENTROIDS_KEY, LABELS, info_path
from fairseq_budget.corpus.labels import (
    LabelInfo,
    read_info,
    write_dictionary,
    write_info,
)
from fairseq_budget.corpus.manifest import Piece, Utterance, parse_utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, reading, write_json
from fairseq_budget.frames import FRAME_RATE_HZ, SAMPLE_RATE

TRANSCRIPTS = "txt"  # beside LABELS the name of a column
TOLERANCE = SAMPLE_RATE // 40  # 25 ms between a recording and what is said of it: Lhotse's own
CENTROIDS = "unknown: imported"  # in place of the hash of those that made the labels


class Imported(NamedTuple):
    """An utterance; its transcript and its k-means labels at 50 Hz, if it has them.

    `is_clipped`: whether it was said to end after its recording, by no more than `TOLERANCE`.
    """

    utterance: Utterance
    text: str | None
    labels: str | None = None
    is_clipped: bool = False

    @property
    def columns(self) -> dict[str, str | None]:
        return {TRANSCRIPTS: self.text, LABELS: self.labels}


def write_imported(
    manifest: Path,
    rows: Iterable[Imported],
    *,
    root: Path,
    num_clusters: int | None = None,
    progress: bool = True,
) -> int:
    """Write a manifest below `root` and its columns, row by row; returns the number of rows.

    No column of transcripts is left where none of the rows has one. With `num_clusters`, the number
    of their clusters, the labels are written, and what training asks of them beside it. Raises
    BudgetError for a row without labels then, or a folder that has labels of another origin.
    """
    if num_clusters:
        _claim_labels(manifest.parent, num_clusters)
    rates = {TRANSCRIPTS: None} | ({LABELS: FRAME_RATE_HZ} if num_clusters else {})
    num_rows, any_text, digest = 0, False, hashlib.sha256()
    bar = Progress(rows, desc=manifest.stem, unit=" lines", disable=not progress)
    with ExitStack() as files:
        file = files.enter_context(atomic_write(manifest, "wb"))
        columns = {
            name: files.enter_context(atomic_write(column_path(manifest, name))) for name in rates
        }
        file.write(f"{root}\n".encode())
        for row in bar:
            if num_clusters and row.labels is None:
                raise BudgetError(f"{row.utterance.name} has no k-means labels (custom.kmeans)")
            line = f"{row.utterance.name}\t{row.utterance.num_samples}\n".encode()
            file.write(line)
            digest.update(line)
            for name, column in columns.items():
                column.write(f"{row.columns[name] or ''}\n")
            num_rows, any_text = num_rows + 1, any_text or row.text is not None
        if not num_rows:
            raise BudgetError(f"there is nothing to put into {manifest}: no utterances were found")
    if not any_text:
        column_path(manifest, TRANSCRIPTS).unlink()
        del rates[TRANSCRIPTS]
    for name, rate in rates.items():
        _describe(manifest, name, rate, manifest_hash=digest.hexdigest(), num_lines=num_rows)
    return num_rows


def _claim_labels(folder: Path, num_clusters: int) -> None:
    """Say what imported labels are, once for all splits of a folder, which hold no others."""
    info = LabelInfo(FRAME_RATE_HZ, num_clusters, {"kind": "imported"}, CENTROIDS)
    path = info_path(folder, LABELS)
    if path.is_file() and read_info(folder) != info:
        raise BudgetError(
            f"{path} describes labels of another origin, or not {num_clusters} "
            "clusters; choose another --data, or remove it with the labels that it describes"
        )
    write_dictionary(folder, num_clusters, LABELS)
    write_info(folder, info)


def _describe(
    manifest: Path, name: str, rate: int | None, *, manifest_hash: str, num_lines: int
) -> None:
    description = {"name": name, "rate": rate, "manifest": manifest_hash, "num_lines": num_lines}
    if name == LABELS:
        description[CENTROIDS_KEY] = CENTROIDS
    write_json(description_path(column_path(manifest, name)), description, sort_keys=False)


@lru_cache(maxsize=64)  # the cuts of a recording follow one another
def _file_length(path: Path) -> int | None:
    """Samples of a file; None where it is not there, of which packing says more."""
    return audio_info(path).num_samples if path.is_file() else None


def part_of(path: str, start: int, num_samples: int, *, total: int) -> Utterance:
    """Part of a file of `total` samples, or the whole file where it is all of it."""
    if start < 0 or num_samples < 1 or start + num_samples > total:
        raise ValueError(
            f"samples {start} to {start + num_samples} do not lie within the {total} of {path}"
        )
    whole = start == 0 and num_samples == total
    piece = Piece(path) if whole else Piece(path, start, num_samples)
    if "\t" in path or "\n" in path:
        raise ValueError(f"the path {path!r} holds a tab or newline")
    return parse_utterance(str(piece), num_samples)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers from 1 on."""
    with (
        reading(path, "name a file of text"),
        gzip.open(path, "rt", encoding="utf-8")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8") as file,
    ):
        yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
