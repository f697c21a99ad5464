"""Scores of boundaries, worked out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.segmentation.agreement import BoundaryScore, score_boundaries


def test_true_boundaries_score_one():
    score = score_boundaries([0.1, 0.5], [0.1, 0.5])
    assert (score.precision, score.recall, score.f1, score.r_value) == (1, 1, 1, 1)
    assert score.over_segmentation == 0


def test_figures_are_those_worked_out_by_hand():
    # 0.12 finds 0.10; 0.30 is 30 ms from the nearest; 0.60 finds 0.61; 0.90 is missed.
    score = score_boundaries([0.12, 0.30, 0.60], [0.10, 0.33, 0.61, 0.90])
    assert score == BoundaryScore(num_hits=2, num_hypothesised=3, num_true=4)
    assert score.precision == pytest.approx(2 / 3)
    assert score.recall == pytest.approx(1 / 2)
    assert score.f1 == pytest.approx(4 / 7)
    assert score.over_segmentation == pytest.approx(-1 / 4)
    distance = math.sqrt(0.5**2 + 0.25**2)  # from full recall without over-segmentation
    assert score.r_value == pytest.approx(1 - (distance + 0.25 / math.sqrt(2)) / 2)


def test_the_tolerance_is_reached_by_whole_frames_but_not_passed():
    assert score_boundaries([0.02 * 29], [0.02 * 30]).num_hits == 1
    assert score_boundaries([0.56], [0.5801]).num_hits == 0


def test_a_boundary_serves_once():
    assert score_boundaries([0.10], [0.09, 0.11]).num_hits == 1
    assert score_boundaries([0.09, 0.10, 0.11], [0.10]).num_hits == 1
    assert score_boundaries([0.10, 0.12], [0.085, 0.105]).num_hits == 2


@pytest.mark.parametrize("seed", range(20))
def test_no_matching_has_more_hits(seed):
    rng = np.random.default_rng(seed)
    hypothesis, reference = (np.sort(rng.uniform(0, 0.2, size)) for size in (5, 4))
    best = max(
        sum(abs(a - b) <= 0.02 for a, b in zip(order, reference, strict=False))
        for order in itertools.permutations(hypothesis, 4)
    )
    assert score_boundaries(hypothesis, reference).num_hits == best


def test_the_r_value_sinks_where_f1_is_flattered():
    reference = [0.2, 0.5, 0.9]
    everywhere = score_boundaries(np.arange(1, 50) * 0.02, reference)
    assert everywhere.recall == 1
    assert everywhere.r_value < -10


def test_scores_add_up_over_utterances():
    first, second = BoundaryScore(1, 2, 3), BoundaryScore(4, 5, 6)
    assert first + second == BoundaryScore(5, 7, 9)
    assert sum([first, second], BoundaryScore()).recall == 5 / 9


def test_nothing_hypothesised_is_no_hit():
    score = score_boundaries([], [0.5])
    assert (score.precision, score.f1, score.over_segmentation) == (0, 0, -1)


def test_there_must_be_true_boundaries_to_over_segment():
    with pytest.raises(BudgetError, match="no true boundaries"):
        _ = score_boundaries([0.5], []).r_value
