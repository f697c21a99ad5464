"""Columns of a set of one length, carried from the source.

A line of frames (labels, segmentations) is cut and joined where the audio is. An utterance of N
spanned frames of 20 ms has N - 1 frames of its own: the last window would need 80 samples more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from fairseq_budget.corpus.column import Column, column_names, write_column
from fairseq_budget.corpus.column_kinds import is_segmentation
from fairseq_budget.corpus.labels import copy_dictionary
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.segments import Ends, crop_ends
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.prepare.length_sets import LengthSets, Spans


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
    # a line is read once for all the pieces that follow one another in it
    if is_segmentation(column.description):
        ends = functools.lru_cache(1)(column.numbers)
        return (" ".join(_cut_ends(ends, spans)) for spans in rows)
    labels = functools.lru_cache(1)(lambda index: column[index].split())
    return (" ".join(_cut_labels(column, labels, spans)) for spans in rows)


def _lies_on_frames(column: Column) -> bool:
    return column.rate is not None and column.rate % FRAME_RATE_HZ == 0


def _cut_labels(column: Column, line: Callable[[int], list[str]], spans: Spans) -> list[str]:
    """The labels of the spanned frames, as many for each frame as the column's rate has."""
    each = int(column.rate or 0) // FRAME_RATE_HZ
    labels: list[str] = []
    for index, start, length in spans:
        own = line(index)
        wanted = own[start * each : (start + length) * each]
        missing = length * each - len(wanted)
        if missing >= each:
            raise BudgetError(
                f"{column.name}, line {index + 1}: {len(own)} labels at {column.rate:g} Hz are too "
                f"few for {start + length} frames of 20 ms; make the column anew"
            )
        labels += wanted + wanted[-1:] * missing  # a later one within a frame, which nobody takes
    return labels[: len(labels) - each]


def _cut_ends(line: Callable[[int], Ends], spans: Spans) -> list[str]:
    """The ends of the segments within the spanned frames; a join is a boundary."""
    parts: list[Ends] = []
    offset = 0
    for index, start, length in spans:
        parts.append(offset + crop_ends(line(index), start, length))
        offset += length
    return [str(end) for end in crop_ends(np.concatenate(parts), 0, offset - 1)]
