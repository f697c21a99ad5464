"""Budgets of a pilot stand in equal ratios within their range, sizes around what is best."""

from itertools import pairwise

import pytest

from fairseq_budget.budget.pilot_grid import FURTHEST, MOST_SHARE, budget_shares, excess
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from tests.budget.test_pilot import setting


@pytest.mark.parametrize("num_seeds", [1, 2, 3])
@pytest.mark.parametrize("num_budgets", [3, 4, 7])
@pytest.mark.parametrize("share", [0.65, 0.75, 1.0])
def test_budgets_are_geometric_within_their_range_and_use_up_the_share(
    share, num_budgets, num_seeds
):
    counts = [4 * num_seeds] * (num_budgets - 1) + [3 * num_seeds]
    found = budget_shares(share, counts)
    assert len(found) == num_budgets
    assert found[0] == 0.001
    assert 1 / FURTHEST <= found[-1] <= MOST_SHARE * (1 + 1e-6)
    ratios = [after / before for before, after in pairwise(found)]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))
    spent = sum(part * count for part, count in zip(found, counts, strict=True))
    assert spent == pytest.approx(share) or (spent < share and found[-1] > 0.999 * MOST_SHARE)


def test_the_share_that_a_refusal_names_is_the_smallest_that_works():
    with pytest.raises(BudgetError, match=r"--share 0.02 is too small: 11 runs .* take 0.0995;"):
        budget_shares(0.02, [4, 4, 3])
    assert budget_shares(0.0995, [4, 4, 3]) == pytest.approx([0.001, 0.005, 0.025], rel=0.01)
    with pytest.raises(BudgetError, match="too small"):
        budget_shares(0.0994, [4, 4, 3])


def test_two_budgets_are_too_few_for_a_forecast():
    with pytest.raises(BudgetError, match="--budgets 2: a forecast takes 3"):
        budget_shares(0.1, [4, 3])


def test_the_studys_best_run_is_at_its_own_optimum():
    assert excess(EncoderConfig(size="slim_200"), setting(sequence_s=14.0), 1.33e18) == 0
