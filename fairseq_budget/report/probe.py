"""What the layers of encoders hold of phones, speakers and words, by linear probes and ABX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fairseq_budget.console.progress import Progress
from fairseq_budget.console.table import column
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.frames import hours
from fairseq_budget.prepare.speakers import SpeakerRule
from fairseq_budget.report.abx import CHANCE, abx_error, draw_triples
from fairseq_budget.report.linear_probe import chance_accuracy, probe_accuracy, standardized
from fairseq_budget.report.probe_features import Layers, layer_means
from fairseq_budget.report.probe_items import (
    PHONES,
    SPEAKERS,
    WORDS,
    Item,
    answerable,
    bounded,
    draw_utterances,
    most_frequent,
    span_items,
    speaker_items,
)
from fairseq_budget.structured import Share, conform, read_json
from fairseq_budget.text.alignments import SpansOf

ERRORS = ("abx_within", "abx_across")  # of which less is better

EXPLANATION = (
    "Accuracy: of a linear classifier of each layer's mean over a phone, a word or an utterance; "
    "phones and words of speakers that it has not learnt from (of other utterances, where there is "
    "one speaker), speakers in other utterances. ABX: angles between means of phones in the same "
    "context; less is better. In brackets: the layer; 0 is what the first one hears."
)


@dataclass(frozen=True, kw_only=True)
class ProbeRow:
    """Test accuracies and ABX errors of a layer, as shares; None where nothing was asked."""

    checkpoint: str
    layer: int | None = None
    phones: float | None = column("phones, accuracy", default=None, percent=True, optional=True)
    words: float | None = column("words, accuracy", default=None, percent=True, optional=True)
    speakers: float | None = column("speakers, accuracy", default=None, percent=True, optional=True)
    abx_within: float | None = column("ABX error within", default=None, percent=True, optional=True)
    abx_across: float | None = column("ABX error across", default=None, percent=True, optional=True)


HEADERS: dict[str, str] = {field.name: field.metadata["header"] for field in fields(ProbeRow)[2:]}
"""Of each probe."""


@dataclass(frozen=True)
class Bounds:
    """Hours of audio that are heard, and how many phones, words and different words are kept."""

    hours: float
    max_items: int
    num_words: int


@dataclass(frozen=True)
class Heard:
    """What was drawn of a manifest."""

    hours: float
    utterances: int
    speakers: int


class Questions:
    """Items of probes by name (`PHONES`, `WORDS`, `SPEAKERS`), and the same triples for all rows.

    BudgetError if there are none.
    """

    def __init__(self, items: Mapping[str, Sequence[Item]], heard: Heard, seed: int) -> None:
        self.heard = heard
        self.items = {name: own for name, own in items.items() if own}
        if not self.items:
            raise BudgetError(
                "there is nothing to probe: no alignments, and no two speakers with two utterances "
                "each; give --phones, --words or --speaker, or more --hours"
            )
        self._classes = {name: _classes(own) for name, own in self.items.items()}
        phones = self.items.get(PHONES, [])
        triples = {
            name: draw_triples(phones, across=name == "abx_across", seed=seed) for name in ERRORS
        }
        self.triples = {name: drawn for name, drawn in triples.items() if drawn is not None}

    @classmethod
    def draw(
        cls,
        manifest: Manifest,
        rule: SpeakerRule,
        spans_of: Mapping[str, SpansOf],
        bounds: Bounds,
        seed: int,
    ) -> Questions:
        """Draw utterances, and of these speakers, and phones and words where there are spans."""
        drawn = draw_utterances(manifest, rule, bounds.hours, seed)
        items = {SPEAKERS: answerable(speaker_items(drawn, rule))}
        for unit, find in spans_of.items():
            found = span_items(drawn, manifest, find)
            if unit == WORDS:
                found = most_frequent(found, bounds.num_words)
            items[unit] = answerable(bounded(found, bounds.max_items, seed))
        heard = Heard(
            hours(sum(utterance.num_samples for utterance in drawn)),
            len(drawn),
            len({utterance.speaker for utterance in drawn}),
        )
        return cls(items, heard, seed)

    def chance(self) -> ProbeRow:
        """What guessing gives: the commonest class, and half of the triples."""
        shares: dict[str, Any] = {n: chance_accuracy(*own) for n, own in self._classes.items()}
        return ProbeRow(checkpoint="chance", **shares | dict.fromkeys(self.triples, CHANCE))

    def rows(self, name: str, layers: Layers, corpus: Corpus) -> list[ProbeRow]:
        """A row for each layer of a checkpoint."""
        items = [item for own in self.items.values() for item in own]
        means = layer_means(layers, corpus, items, name)
        return [
            ProbeRow(checkpoint=name, layer=layer, **self._answers(x))
            for layer, x in enumerate(Progress(means, f"{name}: probes", unit="layer"))
        ]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many items are learnt from and tested, and how many classes and triples there are."""
        counts = {
            name: {
                "classes": int(y.max()) + 1,
                "train": int((~is_test).sum()),
                "test": int(is_test.sum()),
            }
            for name, (y, is_test) in self._classes.items()
        }
        return counts | {name: {"triples": len(drawn.a)} for name, drawn in self.triples.items()}

    def _answers(self, x: Tensor) -> dict[str, Any]:
        """Of a layer (N, D), one row for each item."""
        sizes = [len(own) for own in self.items.values()]
        vectors = dict(zip(self.items, x.split(sizes), strict=True))
        accuracies = {
            name: probe_accuracy(vectors[name], *asked) for name, asked in self._classes.items()
        }
        errors = {
            name: abx_error(standardized(vectors[PHONES], vectors[PHONES]), drawn)
            for name, drawn in self.triples.items()
        }
        return accuracies | errors


def _classes(items: Sequence[Item]) -> tuple[Tensor, Tensor]:
    """The items' classes (N,) int64, and which are for testing, (N,) bool."""
    number = {label: place for place, label in enumerate(sorted({item.label for item in items}))}
    classes = torch.tensor([number[item.label] for item in items])
    return classes, torch.tensor([item.is_test for item in items])


def best_layers(rows: Sequence[ProbeRow]) -> list[dict[str, str]]:
    """A row for each checkpoint: the best answer to each question, and in brackets its layer.

    The first row is chance, which has no layers.
    """
    table = []
    for checkpoint, own in by_checkpoint(rows).items():
        cells = {"checkpoint": checkpoint}
        for probe in asked(rows[0]):
            best = best_row(own, probe)
            layer = "" if best.layer is None else f" ({best.layer})"
            cells[HEADERS[probe]] = f"{getattr(best, probe):.1%}{layer}"
        table.append(cells)
    return table


def asked(row: ProbeRow) -> list[str]:
    """The probes that have an answer."""
    return [name for name in HEADERS if getattr(row, name) is not None]


def by_checkpoint(rows: Sequence[ProbeRow]) -> dict[str, list[ProbeRow]]:
    names = dict.fromkeys(row.checkpoint for row in rows)
    return {name: [row for row in rows if row.checkpoint == name] for name in names}


def best_row(rows: Sequence[ProbeRow], probe: str) -> ProbeRow:
    """The first of the rows with the highest accuracy, or the lowest error."""
    return (min if probe in ERRORS else max)(rows, key=lambda row: getattr(row, probe))


@dataclass(frozen=True)
class Grid:
    """A checkpoint's layers by probes, both (layers, probes) float64.

    `shares` are the answers; `heights` go from 0, chance, to 1, the best of all checkpoints.
    """

    shares: NDArray[np.float64]
    heights: NDArray[np.float64]


def grids(rows: Sequence[ProbeRow]) -> dict[str, Grid]:
    """What is drawn of each checkpoint, of rows that chance heads."""
    chance, *layers = rows
    probes = asked(chance)
    low = np.array([getattr(chance, name) for name in probes])
    best = np.array([getattr(best_row(layers, name), name) for name in probes])
    span = np.where(best == low, 1, best - low)
    drawn = {}
    for checkpoint, own in by_checkpoint(layers).items():
        shares = np.array([[getattr(row, name) for name in probes] for row in own])
        drawn[checkpoint] = Grid(shares, (shares - low) / span)
    return drawn


def read_probes(path: Path) -> list[ProbeRow]:
    """The rows of a ``probe.json``, which chance heads; BudgetError for anything else."""
    with reading(path, "expected the probe.json of `budget-report probe --out`"):
        content = conform(read_json(path, dict)["rows"], list[dict[str, Any]], "rows")
        rows = [_probe_row(entry, f"rows[{place}]") for place, entry in enumerate(content)]
        if len(rows) < 2 or not (probes := asked(rows[0])):
            raise ValueError("it has no answers: expected those of chance and of a layer")
        for row in rows[1:]:
            if row.layer is None or asked(row) != probes:
                raise ValueError(f"{row.checkpoint!r} has other answers than chance has")
    return rows


def _probe_row(entry: dict[str, Any], where: str) -> ProbeRow:
    row: ProbeRow = conform(entry, ProbeRow, where)
    for name in asked(row):
        conform(getattr(row, name), Share, f"{where}.{name}")
    return row
