"""Scores that follow losses say so, and others say that they do not."""

from dataclasses import replace

import numpy as np
import pytest

from fairseq_budget.forecast.scores import score_rows
from tests.forecast.pilots import points

LOSSES = np.linspace(2.0, 3.0, 8)


def scored(scores):
    first = points()[0]
    return [
        replace(first, valid_loss=float(loss), scores={"ic accuracy": float(score)})
        for loss, score in zip(LOSSES, scores, strict=False)
    ]


def test_scores_that_fall_with_the_loss_are_expected_at_another_loss():
    (row,) = score_rows(scored(100 - 20 * LOSSES), seed=0, loss=2.5)
    assert (row.score, row.runs, row.rho) == ("ic accuracy", 8, pytest.approx(-1))
    assert row.expected == pytest.approx(50)
    assert row.refused is None


def test_scores_around_a_line_have_an_interval_around_it():
    noise = np.random.default_rng(0).standard_normal(8)
    (row,) = score_rows(scored(100 - 20 * LOSSES + noise), seed=0, loss=2.5)
    assert row.low <= row.rho <= row.high < 0
    assert row.expected_low < 50 < row.expected_high
    assert 1 < row.expected_high - row.expected_low < 6


@pytest.mark.parametrize(
    ("scores", "loss", "words"),
    [
        ([50, 52, 49, 51, 50, 52, 49, 51], 2.5, "nothing to do with each other"),
        (100 - 20 * LOSSES, 1.5, "no run has such a loss: 2 to 3"),
        (np.full(8, 50.0), 2.5, "all are the same"),
        (100 - 20 * LOSSES[:4], 2.5, "expected 5 runs at least"),
    ],
    ids=["unrelated", "beyond", "constant", "few"],
)
def test_a_score_is_not_expected_where_runs_do_not_tell(scores, loss, words):
    (row,) = score_rows(scored(scores), seed=0, loss=loss)
    assert row.expected is None
    assert words in row.refused


def test_without_a_planned_run_there_is_the_correlation_alone():
    (row,) = score_rows(scored(100 - 20 * LOSSES), seed=0)
    assert (row.expected, row.refused) == (None, None)


def test_runs_without_scores_have_no_rows():
    assert score_rows(points(), seed=0, loss=2.0) == []
