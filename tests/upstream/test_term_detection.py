"""How found and missed documents become one number, and the truth that it is told by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.upstream.term_detection import (
    BETA,
    max_term_weighted_value,
    read_truth,
    score_detections,
)


def by_brute_force(scores: np.ndarray, is_there: np.ndarray) -> float:
    """The formula of the paper, query by query, at each score and above all of them."""
    values = []
    for threshold in [*np.unique(scores), np.inf]:
        costs = []
        for own, there in zip(scores, is_there, strict=True):
            found = own >= threshold
            misses, alarms = np.sum(there & ~found), np.sum(~there & found)
            costs.append(misses / np.sum(there) + 12.49 * alarms / np.sum(~there))
        values.append(1 - np.mean(costs))
    return max(values)


@pytest.mark.parametrize("seed", range(20))
def test_the_value_is_that_of_the_best_of_all_thresholds(seed: int) -> None:
    """With few distinct scores, so that many are found together, and with many."""
    generator = np.random.default_rng(seed)
    shape = (int(generator.integers(1, 8)), int(generator.integers(3, 60)))
    is_there = generator.random(shape) < 0.1
    is_there[:, 0], is_there[:, 1] = True, False
    scores = np.round(generator.normal(size=shape) + 3 * is_there, 1 + seed % 3)
    expected = by_brute_force(scores, is_there)
    assert max_term_weighted_value(scores, is_there) == pytest.approx(expected, abs=1e-12)
    assert expected > 0


def test_the_constants_are_those_of_quesst_2014() -> None:
    assert pytest.approx(12.49) == BETA


def test_values_by_hand() -> None:
    is_there = [[True, True, False, False, False]]
    assert max_term_weighted_value([[5, 4, 3, 2, 1]], is_there) == 1
    assert max_term_weighted_value([[5, 3, 4, 2, 1]], is_there) == pytest.approx(0.5)
    assert max_term_weighted_value([[1, 1, 5, 5, 5]], is_there) == 0  # nothing found is best
    assert max_term_weighted_value([[5, 3, 3, 2, 1]], is_there) == pytest.approx(0.5)  # together


def test_one_threshold_serves_all_queries() -> None:
    """Each is told apart by one of its own; of both, one is found at the best."""
    assert max_term_weighted_value([[9, 8], [2, 1]], [[True, False], [True, False]]) == 0.5


def test_where_all_documents_hold_a_query_no_alarm_is_false() -> None:
    assert max_term_weighted_value([[2, 1]], [[True, True]]) == 1


def test_scores_count_as_they_are_handed_on() -> None:
    """Four digits: a difference beyond them, as of another order of sums, is none."""
    assert max_term_weighted_value([[0.12341, 0.1234]], [[True, False]]) == 0
    assert max_term_weighted_value([[0.1235, 0.1234]], [[True, False]]) == 1


def test_scores_that_are_no_numbers_are_told() -> None:
    with pytest.raises(BudgetError, match="scores of queries are NaN"):
        max_term_weighted_value([[np.nan, 1.0]], [[True, False]])


def test_queries_that_no_document_holds_are_left_out() -> None:
    scores = {"q": {"a": 2.0, "b": 1.0}, "other": {"b": 9.0, "a": 3.0}}
    assert score_detections(scores, {"q": {"a"}}) == 1
    assert score_detections(scores, {"q": {"a"}, "other": {"elsewhere"}}) == 1
    assert score_detections(scores, {"q": {"a"}, "other": {"a"}}) == 0
    with pytest.raises(BudgetError, match="no document holds any of the 2 queries"):
        score_detections(scores, {"third": {"a"}, "q": {"elsewhere"}})


def test_the_truth_is_of_lexemes_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.rttm"
    path.write_text(
        "SPKR-INFO a 1 <NA> <NA> <NA> unknown x <NA>\n"
        "LEXEME a 1 0.00 1.50 q1 lex x <NA>\n"
        "LEXEME b 1 0.00 1.50 q1 lex x <NA>\n\n"
        "LEXEME a 1 0.00 1.50 q2 lex x <NA>\n"
    )
    assert read_truth(path) == {"q1": {"a", "b"}, "q2": {"a"}}


def test_a_line_without_a_query_and_no_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.rttm"
    path.write_text("LEXEME a 1 0.00 1.50\n")
    with pytest.raises(BudgetError, match=r"cannot read .*a\.rttm .line 1 is 'LEXEME a"):
        read_truth(path)
    with pytest.raises(BudgetError, match=r"cannot read .*b\.rttm"):
        read_truth(tmp_path / "b.rttm")
