"""The best size of a budget is where its parabola is lowest."""

from dataclasses import replace

import numpy as np
import pytest

from fairseq_budget.forecast.isoflop import budget_rows, by_budget
from tests.forecast.pilots import points

SIZES = (1e6, 2e6, 4e6, 8e6, 1.6e7)
BEST = 3e6


def one_budget(sizes=SIZES, *, noise=0.0, curvature=0.02):
    generator = np.random.default_rng(0)
    first = points()[0]
    log_losses = curvature * np.log(np.array(sizes) / BEST) ** 2
    log_losses += noise * generator.standard_normal(len(sizes))
    return [
        replace(first, name=f"{size:g}", parameters=round(size), valid_loss=float(2 * np.exp(loss)))
        for size, loss in zip(sizes, log_losses, strict=True)
    ]


def test_a_parabola_is_found_with_its_lowest_point():
    (row,) = budget_rows(one_budget(), seed=0)
    assert (row.parameters, row.loss) == (pytest.approx(BEST, rel=1e-6), pytest.approx(2.0))
    assert (row.sizes, row.flops, row.refused) == (5, 1e15, None)
    assert row.low == pytest.approx(BEST, rel=1e-3)


def test_noise_makes_an_interval_around_it():
    (row,) = budget_rows(one_budget(noise=0.01), seed=0)
    assert SIZES[0] <= row.low < row.parameters < row.high <= SIZES[-1]
    assert row == budget_rows(one_budget(noise=0.01), seed=0)[0]


def test_three_sizes_have_no_interval_and_two_no_parabola():
    (row,) = budget_rows(one_budget(SIZES[:3]), seed=0)
    assert (row.parameters, row.low) == (pytest.approx(BEST, rel=1e-6), None)
    assert budget_rows(one_budget(SIZES[:2]), seed=0) == []


@pytest.mark.parametrize(
    ("sizes", "curvature"), [(SIZES[2:], 0.02), (SIZES, -0.02)], ids=["beside", "hollow"]
)
def test_no_size_is_best_where_losses_only_fall(sizes, curvature):
    (row,) = budget_rows(one_budget(sizes, curvature=curvature), seed=0)
    assert row.parameters is None
    assert "run smaller or larger ones" in row.refused


def test_what_is_drawn_of_a_budget_are_runs_and_curve():
    made = one_budget()
    other = [replace(point, flops=1e16) for point in made[:2]]
    drawn = by_budget([*made, *other], budget_rows(made, seed=0))
    assert list(drawn) == ["1e+15 FLOPs", "1e+16 FLOPs"]
    runs, curve = drawn["1e+15 FLOPs"]
    assert runs[0] == [1e6, made[0].valid_loss]
    assert min(loss for _, loss in curve) == pytest.approx(2.0, rel=1e-3)
    assert drawn["1e+16 FLOPs"][1] == []


def test_runs_on_parts_of_the_corpus_and_such_as_only_guess_are_no_part_of_a_parabola():
    made = [replace(point, unique_frames=1e9) for point in one_budget()]
    odd = replace(made[1], valid_loss=9.0)
    parts = [replace(odd, unique_frames=1e8), replace(odd, unexplained=1.0)]
    assert budget_rows([*parts, *made], seed=0) == budget_rows(made, seed=0)
    assert budget_rows([odd, *made], seed=0) != budget_rows(made, seed=0)
