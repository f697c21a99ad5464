"""Runs with several seeds are one row, with what lies between them."""

from dataclasses import replace

import numpy as np
import pytest

from fairseq_budget.forecast.seeds import seed_rows
from tests.forecast.pilots import points

FIRST = points(unique=1.8e6)[0]  # 10 hours


def seeds(losses, **fields):
    return [
        replace(FIRST, name=f"{seed}{fields}", seed=seed, valid_loss=loss, **fields)
        for seed, loss in enumerate(losses)
    ]


def test_runs_of_one_shape_and_corpus_are_a_row_with_their_mean_and_deviation():
    (row,) = seed_rows(seeds([1.0, 2.0, 3.0], layers=3))
    assert (row.seeds, row.loss, row.deviation) == (3, 2.0, 1.0)
    assert (row.layers, row.parameters, row.flops) == (3, FIRST.parameters, FIRST.flops)
    assert row.corpus_hours == pytest.approx(10)
    assert row.repetitions == pytest.approx(FIRST.frames / 1.8e6)


@pytest.mark.parametrize(
    "other", [{"layers": 6}, {"parameters": 7}, {"flops": 1e17}, {"unique_frames": 4e5}], ids=str
)
def test_another_shape_corpus_or_budget_is_another_row(other):
    made = seeds([1.0, 1.5], layers=3) + seeds([2.0, 2.5], **{"layers": 3, **other})
    assert sorted(row.loss for row in seed_rows(made)) == [1.25, 2.25]
    assert seed_rows(made[1:3]) == []


def test_a_corpus_of_which_logs_tell_the_length_to_a_few_per_cent_is_one():
    (row,) = seed_rows(seeds([1.0]) + seeds([2.0], unique_frames=1.83e6))
    assert row.seeds == 2


def test_of_printed_runs_neither_corpus_nor_layers_need_be_known():
    (row,) = seed_rows(seeds([1.0, 2.0], unique_frames=None))
    assert (row.corpus_hours, row.repetitions, row.layers) == (None, None, None)


def test_what_seeds_share_is_taken_out_of_the_deviation():
    made = seeds([1.0, 2.0, 3.0], layers=1) + seeds([1.5, 2.5, 3.5], layers=2)
    assert [(row.deviation, row.apart) for row in seed_rows(made)] == [(1.0, 0.0), (1.0, 0.0)]
    generator = np.random.default_rng(0)
    shared, own = generator.standard_normal(400), 0.1 * generator.standard_normal((5, 400))
    rows = seed_rows([p for i in range(5) for p in seeds(9 + shared + own[i], layers=i + 1)])
    assert [row.apart for row in rows] == pytest.approx([0.1] * 5, rel=0.15)
    assert rows[0].deviation == pytest.approx(1.0, rel=0.1)


def test_other_seeds_share_nothing():
    made = seeds([1.0, 2.0, 3.0], layers=1) + seeds([1.5, 2.5, 3.5], layers=2)
    assert [row.apart for row in seed_rows(made[:-1])] == [None, None]
    assert [row.apart for row in seed_rows(made[:3])] == [None]
