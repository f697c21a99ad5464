"""Forecasts beside runs that they have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.forecast.fit import fit
from fairseq_budget.forecast.held_out import held_out_rows, verdict
from fairseq_budget.forecast.points import Point
from tests.forecast.pilots import BUDGETS, FLOPS_PER_FRAME, TRUE, points


def run_of(parameters: int, flops: float, factor: float = 1.0) -> Point:
    """A run that the true law gives, times a factor."""
    frames = flops / (FLOPS_PER_FRAME * parameters)
    loss = factor * float(TRUE.loss(parameters, frames, np.inf))
    like = points()[0]
    name = f"{parameters}_{flops:g}"
    own = {"name": name, "parameters": parameters, "frames": frames, "flops": flops}
    return replace(like, valid_loss=loss, **own)


@pytest.fixture(scope="module")
def found():
    return fit(points(noise=0.005), seed=1, num_draws=40)


def test_runs_near_what_was_expected_are_inside_and_others_are_not(found):
    flops = 10 * BUDGETS[-1]
    run = run_of(10**7, flops)
    (true,) = held_out_rows(found, [run])
    assert abs(true.error) < 0.02
    assert true.beyond == pytest.approx(10)
    runs = [replace(run, valid_loss=factor * true.expected) for factor in (1, 1.1, 0.9)]
    rows = held_out_rows(found, runs)
    assert [row.inside for row in rows] == [True, False, False]
    assert [row.error for row in rows] == pytest.approx([0, 0.1, -0.1])


def test_the_verdict_counts_and_tells_what_the_expected_size_cost(found):
    flops = 10 * BUDGETS[-1]
    runs = [run_of(10**7, flops, factor=1.05), run_of(4 * 10**7, flops)]
    rows = held_out_rows(found, runs)
    taken = min(rows, key=lambda row: row.expected)
    regret = taken.loss / min(run.valid_loss for run in runs) - 1
    assert verdict(rows, runs).startswith("1 of 2 inside; at 1.6e+17 FLOPs")
    assert f"{regret:.2%} lost" in verdict(rows, runs)


def test_what_lies_too_far_is_refused_and_not_counted(found):
    runs = [run_of(10**7, 1000 * BUDGETS[-1])]
    (row,) = held_out_rows(found, runs)
    assert row.expected is None
    assert "times beyond the runs" in row.refused
    assert verdict([row], runs) == "0 of 0 inside, 1 refused"


def test_runs_of_other_data_are_refused(found):
    other = replace(run_of(10**7, 1e17), conditions="task.mask_prob=0.5")
    with pytest.raises(BudgetError, match=r"task\.mask_prob"):
        held_out_rows(found, [other])
