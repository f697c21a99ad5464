"""Letters, word pieces and their dictionary in fairseq's files."""

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.symbols import (
    letters,
    read_dictionary,
    write_dictionary,
    write_symbols,
)


def test_letters_end_each_word_with_a_bar():
    assert letters("the dog") == "t h e | d o g |"
    assert letters("") == ""


def test_a_bar_in_a_transcript_is_refused():
    with pytest.raises(BudgetError, match=r"holds '\|'"):
        letters("a|b")


def test_the_dictionary_is_by_frequency_and_reads_back(tmp_path):
    order = write_dictionary(tmp_path, "ltr", ["b a | b |", "a b |"])
    assert order == ["b", "|", "a"]
    assert (tmp_path / "dict.ltr.txt").read_text() == "b 3\n| 3\na 2\n"
    found = read_dictionary(tmp_path / "dict.ltr.txt")
    assert found == ["<s>", "<pad>", "</s>", "<unk>", "b", "|", "a"]


@pytest.mark.fairseq
def test_fairseq_reads_the_same_dictionary(tmp_path):
    data = pytest.importorskip("fairseq.data")
    write_dictionary(tmp_path, "ltr", ["b a | b |"])
    path = tmp_path / "dict.ltr.txt"
    assert data.Dictionary.load(str(path)).symbols == read_dictionary(path)


def test_rows_stay_in_the_manifests_order(tmp_path):
    write_symbols(tmp_path, "train", "ltr", ["a |", "", "b |"])
    assert (tmp_path / "train.ltr").read_text() == "a |\n\nb |\n"


def test_nothing_said_makes_no_dictionary(tmp_path):
    with pytest.raises(BudgetError, match="no transcript holds a word"):
        write_dictionary(tmp_path, "ltr", ["", ""])


def test_an_unreadable_dictionary_is_named(tmp_path):
    with pytest.raises(BudgetError, match=r"none\.txt"):
        read_dictionary(tmp_path / "none.txt")
