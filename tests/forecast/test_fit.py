"""Intervals hold what they promise, and are the same each time."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.forecast.fit import INTERVAL, LEAST_DRIFT, fit, hindcast
from fairseq_budget.forecast.law import Law
from tests.forecast.pilots import BUDGETS, FLOPS_PER_FRAME, TRUE, points

SIZE, FLOPS = 1.6e7, 10 * BUDGETS[-1]
FRAMES = FLOPS / (FLOPS_PER_FRAME * SIZE)
NOISE = 0.005


def planned(seed: int, num_draws: int) -> tuple[float, float]:
    found = fit(points(noise=NOISE, seed=seed), seed=0, num_draws=num_draws)
    low, high = found.interval(found.losses([SIZE], [FRAMES], np.inf), BUDGETS[-1])
    return low.item(), high.item()


@pytest.mark.slow
def test_four_of_five_runs_end_between_low_and_high():
    hits, num_pilots = 0, 16
    for seed in range(num_pilots):
        low, high = planned(seed, num_draws=24)
        noise = np.exp(NOISE * np.random.default_rng([9, seed]).standard_normal(20))
        ends = TRUE.loss(SIZE, FRAMES) * noise
        hits += np.mean((low <= ends) & (ends <= high))
    assert abs(hits / num_pilots - INTERVAL) < 0.2


def test_a_fit_is_the_same_each_time_and_another_with_another_seed():
    found, again, other = (fit(points(noise=NOISE), seed, num_draws=3) for seed in (0, 0, 1))
    assert found == again
    assert found.law == other.law
    assert found.drawn != other.drawn
    assert found.noise == pytest.approx(NOISE, rel=0.6)


def test_runs_without_noise_leave_no_doubt():
    found = fit(points(), seed=0, num_draws=5)
    low, high = found.interval(found.losses([SIZE], [FRAMES], np.inf), BUDGETS[-1])
    assert [low.item(), high.item()] == pytest.approx([TRUE.loss(SIZE, FRAMES)] * 2, rel=1e-3)


def test_losses_of_tera_and_of_hubert_are_fitted_alike():
    for law in (Law(0.35, 3.0, 0.2, 5.0, 0.2), Law(2.1, 60.0, 0.3, 200.0, 0.3)):
        found = fit(points(law), seed=0, num_draws=1).law
        assert found.loss(SIZE, FRAMES) == pytest.approx(law.loss(SIZE, FRAMES), rel=1e-3)


def test_a_law_may_bend_beyond_the_runs_and_not_among_them():
    found = fit(points(), seed=0, num_draws=40)
    losses = found.losses([SIZE] * 3, [FRAMES] * 3, np.inf)
    low, high = found.interval(losses, [BUDGETS[-1], 10 * BUDGETS[-1], 100 * BUDGETS[-1]])
    width = np.log(high / low)
    assert width[0] < 1e-3
    assert width[2] == pytest.approx(2 * width[1], rel=0.01)
    assert width[1] > LEAST_DRIFT * np.log(10)


def test_the_law_is_tried_on_the_largest_budget_of_its_runs():
    made = points()
    largest = max(point.flops for point in made)
    bent = [
        replace(point, valid_loss=0.98 * point.valid_loss) if point.flops > 0.9 * largest else point
        for point in made
    ]
    folds = np.log(BUDGETS[-1] / BUDGETS[-2])
    assert hindcast(made) == pytest.approx(0, abs=1e-4)
    assert hindcast(bent) == pytest.approx(-np.log(0.98) / folds, rel=0.02)
    assert hindcast(made[:8]) is None


def test_runs_that_have_learned_no_more_than_to_guess_are_left_out_by_name():
    made = [replace(point, unexplained=0.8) for point in points()]
    guessing = [
        replace(made[0], name=f"odd{share}", valid_loss=9.0, unexplained=share)
        for share in (0.99, 1.2)
    ]
    found = fit([*guessing, *made], seed=0, num_draws=2)
    assert found.left_out == ["odd0.99", "odd1.2"]
    assert found.points == made
    assert found.law == fit(points(), seed=0, num_draws=2).law


def test_too_few_that_have_learned_are_refused_with_the_names_of_the_others():
    made = [replace(p, unexplained=0.8 if p.flops > BUDGETS[0] else 1.0) for p in points()]
    names = re.escape(f"{made[0].name}, {made[1].name}, ")
    with pytest.raises(BudgetError, match=f"7 runs .* no more than to guess: {names}"):
        fit(made[:-1], seed=0)
