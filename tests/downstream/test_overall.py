"""SUPERB's overall score, by hand."""

import pytest

from fairseq_budget.downstream.overall import (
    LEADERBOARD_ENDS,
    leaderboard_rows,
    overall_scores,
)
from fairseq_budget.downstream.tasks import TASKS
from fairseq_budget.errors import BudgetError
from fairseq_budget.papers.superb import REFERENCE_POINTS

LOW = {("asr", "WER"): 20.0, ("sf", "F1"): 70.0, ("sf", "CER"): 50.0}
HIGH = {("asr", "WER"): 10.0, ("sf", "F1"): 90.0, ("sf", "CER"): 30.0}


def test_a_score_is_the_mean_over_tasks_of_the_mean_over_metrics():
    """WER is three quarters of the way, F1 half of it and CER a quarter past the end."""
    mine = {("asr", "WER"): 12.5, ("sf", "F1"): 80.0, ("sf", "CER"): 25.0}
    scores = overall_scores({"low": LOW, "mine": mine, "high": HIGH}, "low", "high")
    assert scores == pytest.approx({"low": 0, "mine": 1000 * (0.75 + 0.875) / 2, "high": 1000})


def test_a_row_that_is_worse_than_the_low_one_is_below_zero():
    worse = {**LOW, ("asr", "WER"): 30.0}
    scores = overall_scores({"low": LOW, "worse": worse, "high": HIGH}, "low", "high")
    assert scores["worse"] == pytest.approx(-500)


def test_a_row_that_lacks_a_part_has_no_score():
    part = {("asr", "WER"): 12.5}
    assert "part" not in overall_scores({"low": LOW, "part": part, "high": HIGH}, "low", "high")


@pytest.mark.parametrize(
    ("high", "message"),
    [
        ({("asr", "WER"): 10.0}, "of sf's F1 they have 70 and none"),
        (LOW, "of asr's WER they have 20 and 20, expected two numbers"),
    ],
    ids=["a part is missing", "a part is the same"],
)
def test_two_rows_that_nothing_lies_between_are_refused(high, message):
    with pytest.raises(BudgetError, match=f"--score-between low high: {message}"):
        overall_scores({"low": LOW, "high": high}, "low", "high")


def test_a_row_that_is_none_is_named_with_those_there_are():
    with pytest.raises(BudgetError, match=r"highest: expected one of low, high; did you mean"):
        overall_scores({"low": LOW, "high": HIGH}, "low", "highest")


HUBERT_BASE = {  # of Table 2 in Yang et al., "SUPERB", 2021
    ("pr", "PER"): 5.41, ("asr", "WER"): 6.42, ("ks", "accuracy"): 96.30, ("qbe", "MTWV"): 7.36,
    ("sid", "accuracy"): 81.42, ("asv", "EER"): 5.11, ("sd", "DER"): 5.88,
    ("ic", "accuracy"): 98.34, ("sf", "slot type F1"): 88.53, ("sf", "slot value CER"): 25.20,
    ("er", "accuracy"): 64.92,
}  # fmt: skip


def test_the_leaderboards_ends_have_what_superb_reports_of_each_task():
    rows = leaderboard_rows(REFERENCE_POINTS)
    for task in TASKS.keys() & REFERENCE_POINTS.keys():
        reported = {metric.name: metric.higher_is_better for metric in TASKS[task].reported}
        assert REFERENCE_POINTS[task].keys() == reported.keys()
        for metric, (low, high) in REFERENCE_POINTS[task].items():
            assert (low < high) == reported[metric]
    assert [rows[name].keys() for name in LEADERBOARD_ENDS] == [HUBERT_BASE.keys()] * 2


def test_hubert_base_has_the_leaderboards_score():
    rows = {**leaderboard_rows(REFERENCE_POINTS), "HuBERT Base": HUBERT_BASE}
    assert overall_scores(rows, *LEADERBOARD_ENDS)["HuBERT Base"] == pytest.approx(941, abs=0.5)


def test_a_task_that_the_leaderboard_has_not_is_named():
    with pytest.raises(BudgetError, match="--leaderboard-score: asr5k: expected one of pr, asr"):
        leaderboard_rows(["pr", "asr5k"])
