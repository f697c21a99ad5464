"""What lies beside a set of one length: its columns, carried from the source, and real files.

A line of frames (labels, segmentations) is cut and joined where the audio is. An utterance of N
spanned frames of 20 ms has N - 1 frames of its own: the last window would need 80 samples more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.audio.io import write_audio
from fairseq_budget.audio.length_sets import LengthSets, Spans
from fairseq_budget.column_kinds import is_segmentation
from fairseq_budget.corpus import Column, Corpus, write_column
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ, SAMPLE_RATE
from fairseq_budget.labels.segments import crop_ends
from fairseq_budget.manifest import Manifest, Piece, Utterance, read_lines
from fairseq_budget.progress import Progress
from fairseq_budget.subset import column_names, copy_dictionary


def write_length_set(
    source: Path, destination: Path, sets: LengthSets, seconds: float
) -> tuple[Manifest, list[str]]:
    """Write the set of one length, and all columns of `source` that lie on frames, beside it.

    Returns the manifest and the names of the columns. Raises BudgetError if a column of `source`
    was made for another manifest, or a line of it does not fit its utterance.
    """
    whole, spans = sets.manifest, sets.cut(seconds)
    names = column_names(source)
    columns = [Column.open(source, name, whole.hash, len(whole.utterances)) for name in names]
    manifest = Manifest(whole.root, [sets.utterance(own) for own in spans])
    manifest.write(destination)
    carried = [column for column in columns if _lies_on_frames(column)]
    for column in carried:
        lines = cut_column(column, spans)
        write_column(destination, column.name, lines, column.rate, more=column.description)
        copy_dictionary(column.name, source.parent, destination.parent)
    return manifest, [column.name for column in carried]


def cut_column(column: Column, rows: Sequence[Spans]) -> Iterator[str]:
    """The lines of a column of labels or segment ends for utterances that join spans of frames."""
    cut = _cut_ends if is_segmentation(column.description) else _cut_labels
    return (" ".join(cut(column, spans)) for spans in rows)


def _lies_on_frames(column: Column) -> bool:
    return column.rate is not None and column.rate % FRAME_RATE_HZ == 0


def _cut_labels(column: Column, spans: Spans) -> list[str]:
    """The labels of the spanned frames, as many for each frame as the column's rate has."""
    each = int(column.rate or 0) // FRAME_RATE_HZ
    labels: list[str] = []
    for index, start, length in spans:
        own = column[index].split()
        wanted = own[start * each : (start + length) * each]
        missing = length * each - len(wanted)
        if missing >= each:
            raise BudgetError(
                f"{column.name}, line {index + 1}: {len(own)} labels at {column.rate:g} Hz are too "
                f"few for {start + length} frames of 20 ms; make the column anew"
            )
        labels += wanted + wanted[-1:] * missing  # a later one within a frame, which nobody takes
    return labels[: len(labels) - each]


def _cut_ends(column: Column, spans: Spans) -> list[str]:
    """The ends of the segments within the spanned frames; a join is a boundary."""
    parts: list[NDArray[np.int64]] = []
    offset = 0
    for index, start, length in spans:
        parts.append(offset + crop_ends(column.numbers(index), start, length))
        offset += length
    return [str(end) for end in crop_ends(np.concatenate(parts), 0, offset - 1)]


def write_files(cut: Path, folder: Path, speaker_of: Callable[[str], str]) -> Path:
    """Make a 16-bit flac of each utterance of the manifest `cut`, and a manifest of them.

    ``{folder}/{split}/{speaker}/{number}.flac``, with the columns of `cut` beside
    ``{folder}/{split}.tsv``. Files that are there are kept, so that the same command goes on where
    it was stopped; ``{split}.pieces`` says what they were made of. Returns the new manifest's path.
    Raises BudgetError if the folder holds the files of another manifest.
    """
    corpus = Corpus.open(cut)
    _claim(folder / f"{cut.stem}.pieces", cut)
    utterances = []
    for index in Progress(range(len(corpus)), desc=f"{folder.name}/{cut.stem}"):
        speaker = _folder_name(speaker_of(corpus.utterance(index).pieces[0].path))
        path = f"{cut.stem}/{speaker}/{index:07}.flac"
        if not (folder / path).exists():
            write_audio(folder / path, corpus.read(index), SAMPLE_RATE)
        utterances.append(Utterance((Piece(path),), int(corpus.sizes[index])))
    destination = folder / cut.name
    Manifest(folder.absolute(), utterances).write(destination)
    for column in map(corpus.open_column, column_names(cut)):
        lines = (column[index] for index in range(len(column)))
        write_column(destination, column.name, lines, column.rate, more=column.description)
        copy_dictionary(column.name, cut.parent, folder)
    return destination


def _claim(record: Path, cut: Path) -> None:
    """Note in `record` what the files beside it are made of, or find that they are of the same."""
    if not record.exists():
        Manifest.read(cut).write(record)
    elif read_lines(record) != read_lines(cut):
        raise BudgetError(
            f"{record.parent} holds the audio of another cut; name another folder with "
            "--write-audio, or remove it"
        )


def _folder_name(speaker: str) -> str:
    return speaker.replace("/", "_").strip(".") or "speaker"
