"""Runs that do not belong together are refused, with their names."""

from dataclasses import replace

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.forecast.checks import budgets, require_alike, require_enough
from fairseq_budget.forecast.fit import fit
from fairseq_budget.forecast.law import Law
from tests.forecast.pilots import BUDGETS, points


def changed(**fields):
    first, *others = points()
    return [first, *others[:-1], replace(others[-1], name="odd", **fields)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"objective": "hubert"}, "trains tera, odd hubert"),
        (
            {"conditions": "task.mask_prob=0.65"},
            r"odd do not compare: they differ in task\.mask_prob \(0\.8, 0\.65\)",
        ),
        (
            {"conditions": "task.mask_prob=0.8 valid.km=abc"},
            r"they differ in valid\.km \(-, abc\); give runs that were validated on the same",
        ),
        (
            {"conditions": "task.mask_prob=0.8 model.num_negatives=50"},
            r"model\.num_negatives \(-, 50\)",
        ),
    ],
)
def test_losses_that_do_not_compare_are_refused(fields, words):
    with pytest.raises(BudgetError, match=words):
        require_alike(changed(**fields))


def test_segments_that_a_run_chooses_make_a_loss_of_its_own():
    with pytest.raises(BudgetError, match=r"model\.subsample=cif: it chooses"):
        require_alike(points(conditions="model.subsample=cif"))


def test_subsets_of_a_corpus_are_one_corpus_but_other_speech_is_not():
    whole, part = points(corpus="aaa", unique=1e9), points(corpus="bbb", unique=1e8)
    require_alike([*whole, *part])
    other = [replace(part[0], name="odd", unique_frames=1e9)]
    with pytest.raises(BudgetError, match=r"trained on different data \(manifests aaa, bbb\)"):
        require_alike([*whole, *other])
    unknown = [replace(part[0], name="odd", unique_frames=None)]
    with pytest.raises(BudgetError, match=r"odd .* different data"):
        require_alike([*whole, *unknown])


def test_too_few_runs_are_counted():
    with pytest.raises(BudgetError, match=r"7 runs cannot give .* expected 8 runs at least"):
        require_enough(points()[:7])
    require_enough(points()[:8])


def test_one_budget_and_two_sizes_are_too_few():
    one = [replace(point, flops=1e15) for point in points()]
    with pytest.raises(BudgetError, match=r"1 budget cannot .* expected 2 budgets at least"):
        require_enough(one)
    two = [replace(point, parameters=1000 + place % 2) for place, point in enumerate(points())]
    with pytest.raises(BudgetError, match=r"2 sizes cannot .* expected 3 sizes at least"):
        require_enough(two)


def test_budgets_are_grouped_though_runs_spend_them_roughly():
    made = [
        replace(point, flops=point.flops * (1 + 0.01 * place))
        for place, point in enumerate(points()[:8])
    ]
    groups = budgets(made)
    assert [len(own) for own in groups] == [4, 4]
    firsts = [own[0].flops for own in groups]
    assert [round(first / budget) for first, budget in zip(firsts, BUDGETS[:2], strict=True)] == [
        1,
        1,
    ]


def test_runs_that_do_not_agree_are_named():
    with pytest.raises(BudgetError, match=r"do not agree: their losses lie \d+\.\d% .* furthest: "):
        fit(points(noise=0.3), seed=0)


def test_an_exponent_at_its_bounds_is_no_law():
    with pytest.raises(BudgetError, match=r"follow no law: its exponents are 2 of size"):
        fit(points(Law(1e-3, 1e16, 2.5, 2000.0, 0.37)), seed=0)
