"""Segmentations of utterances: what training reads, and how it is written.

Beside the manifest ``{split}.tsv`` lies ``{split}.seg``, a Column (column.py) of the ends of each
utterance's segments in frames of 20 ms::

    12 31 40        three segments: frames [0, 12), [12, 31) and [31, 40) of 40

"On Compressing Sequences for Self-Supervised Speech Models" takes a boundary t_k for the end of a
segment in eq. 4 and for its start in eq. 5. Differs: one convention, 0 = e_0 < e_1 < ... < e_K = T,
with segment k = [e_{k-1}, e_k) and T the utterance's number of frames. An utterance without frames
has an empty line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairseq_budget.corpus.column import (
    Column,
    SplitColumn,
    refuse_other_kind,
    write_column,
)
from fairseq_budget.corpus.column_kinds import (
    KIND_KEY,
    LABELS,
    SEGMENTS,
    check_name,
    is_segmentation,
)
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.packed import open_corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ, num_frames

NUM_CHECKED = 200  # lines that are looked at when training starts
_MAKE = "make it with `budget-labels segment` or `budget-labels boundaries`"

Ends = NDArray[np.int64]


class Segmentation(SplitColumn):
    """The segmentation of one split: `num_frames` (N,) of its utterances, the text `column`."""

    def __init__(self, folder: Path, split: str, column: Column, num_frames: Ends) -> None:
        super().__init__(folder, split, column)
        self.num_frames = num_frames

    def __reduce__(self) -> tuple[Any, ...]:  # a loader worker reads the file, not a pickle
        return open_segments, (self.folder, self.split, self.column.name)

    def ends(self, index: int) -> Ends:
        """Ends of the segments of utterance `index`, in frames: (K,), the last one being T.

        None where the audio could not be read. Raises BudgetError, naming the line, for anything
        else.
        """
        line = f"{self.path}, line {index + 1}"
        try:
            ends = self.column.numbers(index)
        except (ValueError, OverflowError) as error:
            raise BudgetError(f"{line}: {error}; expected ends in frames; {_MAKE}") from error
        if not len(ends):
            return ends
        return check_ends(ends, int(self.num_frames[index]), line=line)


def open_segments(
    folder: str | Path, split: str, name: str = SEGMENTS, *, corpus: Corpus | None = None
) -> Segmentation:
    """Open the segmentation `name` of a split, looking at up to `NUM_CHECKED` of its lines.

    `corpus` saves opening the split again. Raises BudgetError, which names the file and
    the cure, when it is missing, was made for another manifest or is no segmentation.
    """
    folder = Path(folder).absolute()
    corpus = corpus or open_corpus(folder, split)
    try:
        column = corpus.open_column(name)
    except BudgetError as error:
        raise BudgetError(f"{error}: {_MAKE}") from error
    segments = Segmentation(folder, split, column, num_frames(corpus.sizes))
    if column.rate != FRAME_RATE_HZ or not is_segmentation(column.description):
        raise BudgetError(
            f"{segments.path} is no segmentation in frames of 20 ms (rate {column.rate}, made by "
            f"{column.description.get(KIND_KEY)}); {_MAKE}, under another --name"
        )
    for index in np.random.default_rng(0).permutation(len(segments))[:NUM_CHECKED].tolist():
        segments.ends(index)
    return segments


def write_segments(
    manifest: Path,
    lines: Iterable[Iterable[int]],
    *,
    kind: str,
    name: str = SEGMENTS,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``{split}.{name}`` beside a manifest: the ends of each utterance's segments.

    `kind` says what made them, `more` how; both stand in the json beside the column. Raises
    BudgetError, and leaves an older column as it was, if there is not one line for each utterance.
    """
    check_name(name, LABELS)
    refuse_other_kind(manifest, name, is_segmentation)
    text = (" ".join(map(str, ends)) for ends in lines)
    more = {KIND_KEY: kind, **(more or {})}
    return write_column(manifest, name, text, FRAME_RATE_HZ, more=more)


def check_ends(ends: Ends, num_frames: int, *, line: str) -> Ends:
    """`ends`, if they increase from above 0 to exactly `num_frames`; else BudgetError."""
    steps = np.diff(ends, prepend=0)
    if len(ends) and steps.min() < 1:
        at = int(np.flatnonzero(steps < 1)[0])
        before = ends[at - 1] if at else 0
        raise BudgetError(
            f"{line}: end {ends[at]} follows {before}, but the ends must increase; {_MAKE}"
        )
    last = int(ends[-1]) if len(ends) else 0
    if last != num_frames:
        raise BudgetError(
            f"{line}: the segments end at frame {last}, so the boundaries are "
            f"{'shorter' if last < num_frames else 'longer'} than the audio, which has "
            f"{num_frames} frames; {_MAKE}"
        )
    return ends


def crop_ends(ends: Ends, start: int, num_frames: int) -> Ends:
    """The ends within a crop of `num_frames` frames from frame `start` on, counted from there.

    Segments at its edges are cut; frames beyond the utterance belong to its last segment.

    >>> crop_ends(np.array([3, 7, 9]), 2, 5).tolist()
    [1, 5]
    """
    inner = ends[:-1] - start
    inner = inner[(inner > 0) & (inner < num_frames)]
    return np.append(inner, num_frames) if num_frames else inner


def ends_from_times(times_s: ArrayLike, num_frames: int) -> Ends:
    """The ends of segments, given boundaries in seconds: each is moved to the nearest frame.

    Boundaries that meet in one frame become one. What is before the first or after the last of them
    is a segment of its own.

    >>> ends_from_times([0.0, 0.1, 0.11, 0.5], 30).tolist()
    [5, 6, 25, 30]
    """
    ends = np.floor(np.asarray(times_s, dtype=np.float64) * FRAME_RATE_HZ + 0.5).astype(np.int64)
    inner = np.unique(ends[(ends > 0) & (ends < num_frames)])
    return np.append(inner, num_frames) if num_frames else inner
