"""ABX: whether a phone X lies nearer to its like, A, than to another in the same context, B.

T. Schatz et al., "Evaluating speech features with the Minimal-Pair ABX task", Interspeech 2013.
A and X are the same phone, B is another; the phones before and after are the same for all three. A
and B are of one speaker, X of the same ("within speakers") or of another ("across"). Each triple
is counted in a cell (phones, context, speakers); the error is the mean over pairs of phones of the
mean over their cells, so that frequent phones weigh no more than others.

Differs: distances are angles between the means of segments, not along the best alignment of their
frames, which takes far longer and at 20 ms a frame has three of them to align.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from fairseq_budget.report.probe_items import Item

MAX_CELLS = 4000  # that are drawn from
TRIPLES_PER_CELL = 5
CHANCE = 0.5

Rows = list[int]
Cell = tuple[tuple[str, str], Rows, Rows, Rows]
"""A pair of phones, and the rows that A, B and X are drawn from; A and X may share theirs."""


@dataclass(frozen=True)
class Triples:
    """Rows of A, B and X, each (N,) int64, and how much each triple counts, (N,), 1 in all."""

    a: Tensor
    b: Tensor
    x: Tensor
    weights: Tensor


def draw_triples(items: Sequence[Item], *, across: bool, seed: int) -> Triples | None:
    """At most `MAX_CELLS` cells and `TRIPLES_PER_CELL` triples of each; None if there are none."""
    cells = list(_cells(items, across=across))
    if not cells:
        return None
    generator = np.random.default_rng(seed)
    chosen = [cells[index] for index in generator.permutation(len(cells))[:MAX_CELLS].tolist()]
    num_cells = Counter(pair for pair, *_ in chosen)
    rows, weights = [], []
    for pair, a, b, x in chosen:
        drawn = _draw(a, b, x, generator)
        rows += drawn
        weights += [1 / (len(num_cells) * num_cells[pair] * len(drawn))] * len(drawn)
    a, b, x = torch.tensor(rows).unbind(1)
    return Triples(a, b, x, torch.tensor(weights, dtype=torch.float64))


def abx_error(x: Tensor, triples: Triples) -> float:
    """The share of triples of which X is nearer to B than to A, ties counting half.

    x (N, D) are the items' vectors; 0.5 is chance. Angles rank as their cosines do.
    """
    unit = torch.nn.functional.normalize(x.float(), dim=1)
    alike = (unit[triples.a] * unit[triples.x]).sum(1)
    other = (unit[triples.b] * unit[triples.x]).sum(1)
    wrong = (other > alike).double() + 0.5 * (other == alike).double()
    return (wrong * triples.weights).sum().item()


def _cells(items: Sequence[Item], *, across: bool) -> Iterator[Cell]:
    """All cells in which there is a triple, in a fixed order."""
    contexts: dict[tuple[str, str], dict[str, dict[str, Rows]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for row, item in enumerate(items):
        contexts[item.context][item.label][item.speaker].append(row)
    for _, phones in sorted(contexts.items()):
        for one, other in permutations(sorted(phones), 2):
            for speaker, rows in sorted(phones[one].items()):
                if speaker not in phones[other]:
                    continue
                same = [rows] if len(rows) > 1 else []
                others = [heard for name, heard in sorted(phones[one].items()) if name != speaker]
                for x in others if across else same:
                    yield (one, other), rows, phones[other][speaker], x


def _draw(a: Rows, b: Rows, x: Rows, generator: np.random.Generator) -> list[tuple[int, int, int]]:
    """Different triples (A, B, X) of a cell, at most `TRIPLES_PER_CELL`; A is never X."""
    num_x = len(x) - 1 if a is x else len(x)
    total = len(a) * len(b) * num_x
    drawn = generator.choice(total, min(total, TRIPLES_PER_CELL), replace=False)
    triples = []
    for place_a, place_b, place_x in zip(
        *np.unravel_index(drawn, (len(a), len(b), num_x)), strict=True
    ):
        skipped = a is x and place_x >= place_a
        triples.append((a[place_a], b[place_b], x[place_x + skipped]))
    return triples
