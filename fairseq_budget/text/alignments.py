"""Phones in time, to judge labels by: a table of ``utterance_id start_s end_s phone``.

The format of the demo corpus's ``phones.tsv``: tab-separated, with a header, each utterance's rows
in the order of time. An utterance's id is the name of its file without folder and extension.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.corpus.manifest import Utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.structured import read_table

COLUMNS = ("utterance_id", "start_s", "end_s", "phone")
NO_PHONE = -1


Span = tuple[float, float, str]
"""Start and end in seconds, and what is heard between them."""

SpansOf = Callable[[str], list[Span]]
"""The intervals of the recording at a relative path; BudgetError if it has none."""


def read_spans(path: str | Path, unit: str = COLUMNS[-1]) -> dict[str, list[Span]]:
    """The rows of the table by utterance; BudgetError names the line that is none of its rows.

    So it does for rows that overlap or are not in the order of time. `unit` heads the last column:
    ``phone``, or ``word`` of a table of words.
    """
    columns = [*COLUMNS[:-1], unit]
    spans: dict[str, list[Span]] = {}
    header = f"expected a table with the header {'<TAB>'.join(columns)}"
    with reading(f"the alignments {path}", f"{header}, as the demo corpus's {unit}s.tsv has"):
        rows = read_table(Path(path), is_quoted=False)
        if (found := next(rows, [])) != columns:
            raise ValueError(f"line 1: {found}")
        for name, start, end, text in rows:
            spans.setdefault(name, []).append((seconds(start), seconds(end), text))
    for name, own in spans.items():
        check_order(own, where=f"{path}, {name!r}")
    return spans


def seconds(text: str) -> float:
    """A time; ValueError for text that is none, NaN and infinity among it."""
    if not math.isfinite(time_s := float(text)):
        raise ValueError(f"{text} is no time")
    return time_s


def check_order(spans: list[Span], *, where: str) -> None:
    """Raise BudgetError if spans overlap, are out of order, or end before they start."""
    previous = 0.0
    for number, (start, end, text) in enumerate(spans, start=1):
        if not previous - 1e-6 <= start <= end:
            raise BudgetError(
                f"{where}: interval {number} ({text!r}, {start} to {end} s) follows one that ends "
                f"at {previous} s; expected intervals in the order of time, without overlap"
            )
        previous = end


def spans_within(utterance: Utterance, spans_of: SpansOf) -> list[Span]:
    """The intervals that lie wholly within an utterance, in its own time, in order.

    Pieces of recordings keep their place in the recording; intervals that they cut are left out.
    """
    found, offset = [], 0
    for piece in utterance.segments:
        length = piece.num_samples or 0
        shift_s, end_s = (offset - piece.start) / SAMPLE_RATE, (piece.start + length) / SAMPLE_RATE
        found += [
            (start + shift_s, end + shift_s, text)
            for start, end, text in spans_of(piece.path)
            if start >= piece.start / SAMPLE_RATE - 1e-6 and end <= end_s + 1e-6
        ]
        offset += length
    return found


@dataclass(frozen=True)
class _Spans:
    starts_s: NDArray[np.float64]
    ends_s: NDArray[np.float64]
    phones: NDArray[np.int64]


class Alignments:
    """The phones of recordings; `phones` lists their names, in sorted order."""

    def __init__(self, spans: dict[str, list[Span]]) -> None:
        self.phones = sorted({phone for rows in spans.values() for _, _, phone in rows})
        number = {phone: index for index, phone in enumerate(self.phones)}
        self._spans = {
            name: _Spans(
                np.array([start for start, _, _ in rows]),
                np.array([end for _, end, _ in rows]),
                np.array([number[phone] for _, _, phone in rows], dtype=np.int64),
            )
            for name, rows in spans.items()
        }

    @classmethod
    def read(cls, path: str | Path) -> Alignments:
        """Read the table; BudgetError names the line that is none of its rows."""
        return cls(read_spans(path))

    def phones_at(self, utterance: Utterance, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """The phone at each of the `samples` of an utterance: (T,), NO_PHONE where none is known.

        Pieces of recordings keep their place in the recording.
        """
        found, offset = np.full(len(samples), NO_PHONE), 0
        for piece in utterance.segments:
            length = piece.num_samples or 0
            inside = (samples >= offset) & (samples < offset + length)
            if (spans := self._spans.get(Path(piece.path).stem)) is not None:
                times_s = (samples[inside] - offset + piece.start) / SAMPLE_RATE
                row = np.searchsorted(spans.starts_s, times_s, side="right") - 1
                known = (row >= 0) & (times_s < spans.ends_s[row])
                found[inside] = np.where(known, spans.phones[row], NO_PHONE)
            offset += length
        return found
