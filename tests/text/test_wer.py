"""Word errors: counts, sums, and what is refused."""

import sys

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.text.wer import WordErrors, word_errors

pytest.importorskip("jiwer")


def test_errors_are_counted_by_kind():
    found = word_errors(["the cat sat down"], ["the bat sat down here"])
    assert found == WordErrors(substitutions=1, insertions=1, num_words=4)
    assert found.rate == 0.5
    assert word_errors(["a b c"], ["c"]) == WordErrors(deletions=2, num_words=3)


def test_the_rate_of_a_corpus_is_that_of_the_sums_not_the_mean_of_rates():
    parts = word_errors(["a b c d"], ["a b c x"]) + word_errors(["e"], ["f"])
    assert parts == word_errors(["a b c d", "e"], ["a b c x", "f"])
    assert parts.rate == 2 / 5


def test_an_empty_hypothesis_or_reference_counts():
    assert word_errors(["a b", ""], ["", "c"]) == WordErrors(0, 2, 1, 2)


def test_a_corpus_without_words_has_no_rate():
    assert word_errors([], []) == WordErrors()
    with pytest.raises(BudgetError, match="hold no word"):
        _ = word_errors([""], ["a"]).rate


def test_unequal_numbers_are_refused():
    with pytest.raises(BudgetError, match="2 references but 1 hypotheses"):
        word_errors(["a", "b"], ["a"])


def test_without_jiwer_the_error_names_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(BudgetError, match=r"pip install 'fairseq_budget\[asr\]'"):
        word_errors(["a"], ["a"])
