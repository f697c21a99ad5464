"""Segmentations from intervals in time: TextGrids, or a table as in text/alignments.py.

A recording's intervals are found by its path or, failing that, by the name of its file alone. Every
start and every end of an interval is a boundary, so a gap between intervals is a segment. In an
utterance that is made of pieces they keep their place in the recording, and a join is a boundary.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.manifest import Piece, Utterance
from fairseq_budget.corpus.segments import Ends, ends_from_times
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE, num_frames
from fairseq_budget.segmentation.textgrid import read_tier
from fairseq_budget.text.alignments import Span, SpansOf, read_spans

TOLERANCE_S = 0.04  # two frames, between the ends of audio and of its boundaries


def interval_ends(corpus: Corpus, spans_of: SpansOf) -> Iterator[Ends]:
    """The ends of the segments of each utterance, in frames.

    Raises BudgetError for a recording without intervals, or whose intervals end more than
    `TOLERANCE_S` before or after its audio.
    """
    indices = range(len(corpus))
    for index in Progress(indices, f"{corpus.path.stem}: boundaries", unit="utterance"):
        times_s = boundary_times(corpus.utterance(index), spans_of)
        yield ends_from_times(times_s, num_frames(int(corpus.sizes[index])))


def boundary_times(utterance: Utterance, spans_of: SpansOf) -> NDArray[np.float64]:
    """All boundaries of an utterance in its own time, its start and end included: (B,) seconds."""
    times_s, offset = [0.0], 0
    is_whole = utterance.pieces[0].num_samples is None
    for piece in utterance.segments:
        num_samples = piece.num_samples or 0
        spans = spans_of(piece.path)
        _check_length(spans, piece, is_whole=is_whole)
        first_s, last_s = piece.start / SAMPLE_RATE, (piece.start + num_samples) / SAMPLE_RATE
        inner = sorted({time for start, end, _ in spans for time in (start, end)})
        times_s += [time - first_s + offset / SAMPLE_RATE for time in inner
                    if first_s < time < last_s]  # fmt: skip
        offset += num_samples
        times_s.append(offset / SAMPLE_RATE)
    return np.array(times_s)


def textgrid_spans(folder: Path, tier: str) -> SpansOf:
    """The intervals of ``{path or name}.TextGrid`` in `folder` or below it."""
    grids: dict[str, list[Path]] = {}
    for grid in sorted(folder.rglob("*")):
        if grid.suffix.lower() == ".textgrid":
            grids.setdefault(grid.stem, []).append(grid)
    if not grids:
        raise BudgetError(f"{folder} holds no TextGrid; name the folder that the aligner wrote")

    def spans_of(path: str) -> list[Span]:
        found = grids.get(Path(path).stem, [])
        exact = [grid for grid in found if grid.with_suffix("") == (folder / path).with_suffix("")]
        if len(exact or found) != 1:
            raise BudgetError(
                f"{len(found)} TextGrids below {folder} are named {Path(path).stem!r}, for {path}; "
                "expected one at that path, or one of that name alone"
            )
        return read_tier((exact or found)[0], tier)

    return spans_of


def table_spans(table: Path, unit: str = "phone") -> SpansOf:
    """The intervals of a table ``utterance_id start_s end_s {unit}`` (text/alignments.py)."""
    spans = read_spans(table, unit)

    def spans_of(path: str) -> list[Span]:
        if (rows := spans.get(Path(path).stem)) is None:
            raise BudgetError(
                f"{table} has no rows for {path}; expected some with the id {Path(path).stem!r}"
            )
        return rows

    return spans_of


def _check_length(spans: list[Span], piece: Piece, *, is_whole: bool) -> None:
    """Raise BudgetError unless the intervals reach just as far as the audio.

    How long a recording is that only pieces are taken of is not known here; they must be covered.
    """
    last_s = (piece.start + (piece.num_samples or 0)) / SAMPLE_RATE
    end_s = spans[-1][1] if spans else 0.0
    if end_s < last_s - TOLERANCE_S or (is_whole and end_s > last_s + TOLERANCE_S):
        raise BudgetError(
            f"the boundaries of {piece.path} end at {end_s:.3f} s, "
            f"{'before' if end_s < last_s else 'after'} its audio at {last_s:.3f} s; expected the "
            f"same within {TOLERANCE_S} s: are they those of other audio? A silence at the end "
            "needs an interval, too"
        )
