"""ABX of few phones equals a count of all triples; what is drawn of many is bounded."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import pytest
import torch

from fairseq_budget.report import abx
from fairseq_budget.report.abx import abx_error, draw_triples
from fairseq_budget.report.probe_items import Item

CONTEXTS = (("s", "t"), ("k", ""))


def phone(label: str, speaker: str, context=CONTEXTS[0]) -> Item:
    return Item(0, 0, 400, label, speaker, is_test=False, context=context)


def some_phones() -> tuple[list[Item], torch.Tensor]:
    """Phones of two contexts and three speakers, not all of which say all, and their vectors."""
    generator = torch.Generator().manual_seed(3)
    items = [
        phone(label, speaker, context)
        for label, speaker, context in product("aei", ("ann", "bob", "eve"), CONTEXTS)
        for _ in range(int(torch.randint(0, 3, (), generator=generator)))
    ]
    return items, torch.randn(len(items), 4, generator=generator)


def brute_force(items: list[Item], x: torch.Tensor, *, across: bool) -> float:
    """The mean over pairs of phones of the mean over cells of the mean over their triples."""
    cells = defaultdict(lambda: defaultdict(list))
    for (i, a), (j, b), (k, other) in product(enumerate(items), repeat=3):
        alike = a.label == other.label != b.label and a.context == b.context == other.context
        voices = a.speaker == b.speaker and (a.speaker != other.speaker) == across
        if i != k and alike and voices:
            angle_a, angle_b = (
                torch.acos(torch.cosine_similarity(x[n].double(), x[k].double(), dim=0))
                for n in (i, j)
            )
            cell = (a.context, a.speaker, other.speaker)
            cells[a.label, b.label][cell].append(float(angle_a > angle_b))

    def mean(numbers):
        numbers = list(numbers)
        return sum(numbers) / len(numbers)

    return mean(mean(map(mean, pair.values())) for pair in cells.values())


@pytest.mark.parametrize("across", [False, True])
def test_few_phones_are_judged_as_a_count_of_all_triples_judges_them(monkeypatch, across):
    monkeypatch.setattr(abx, "TRIPLES_PER_CELL", 1000)
    items, x = some_phones()
    triples = draw_triples(items, across=across, seed=0)
    assert abx_error(x, triples) == pytest.approx(brute_force(items, x, across=across))
    assert 0.2 < abx_error(x, triples) < 0.8


def test_phones_far_apart_are_told_and_equal_ones_are_guessed():
    items, _ = some_phones()
    triples = draw_triples(items, across=True, seed=0)
    apart = torch.eye(3)[[ "aei".index(item.label) for item in items]]  # fmt: skip
    assert abx_error(apart, triples) == 0
    assert abx_error(torch.ones(len(items), 3), triples) == pytest.approx(0.5)


def test_a_phone_is_never_compared_with_itself():
    items = [phone("a", "ann"), phone("a", "ann"), phone("e", "ann")]
    triples = draw_triples(items, across=False, seed=0)
    assert sorted(zip(triples.a.tolist(), triples.x.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert triples.b.tolist() == [2, 2]


def test_what_is_drawn_is_bounded_and_follows_from_the_seed(monkeypatch):
    monkeypatch.setattr(abx, "MAX_CELLS", 7)
    items, _ = some_phones()
    drawn = [draw_triples(items, across=True, seed=seed) for seed in (0, 0, 1)]
    assert all(len(triples.a) <= 7 * abx.TRIPLES_PER_CELL for triples in drawn)
    assert drawn[0].weights.sum() == pytest.approx(1)
    assert torch.equal(drawn[0].a, drawn[1].a)
    assert not torch.equal(drawn[0].a, drawn[2].a)


def test_without_a_second_speaker_or_a_second_phone_there_is_nothing_to_ask():
    alone = [phone("a", "ann"), phone("a", "ann"), phone("e", "ann")]
    assert draw_triples(alone, across=True, seed=0) is None
    assert draw_triples([phone("a", "ann"), phone("a", "bob")], across=True, seed=0) is None
