"""Letters, word pieces and their dictionary in fairseq's files."""

import pytest

from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.symbols import (
    letters,
    odd_characters,
    open_symbols,
    read_dictionary,
    write_dictionary,
)
from fairseq_budget.errors import BudgetError
from tests.synthetic import write_tone_corpus


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


def test_symbols_that_training_lacks_come_last(tmp_path):
    assert write_dictionary(tmp_path, "bpe", ["▁b c"], ["▁b", "a", "c"]) == ["c", "▁b", "a"]
    assert (tmp_path / "dict.bpe.txt").read_text() == "c 1\n▁b 1\na 0\n"


@pytest.fixture
def corpus(tmp_path):
    write_tone_corpus(tmp_path, 3).write(tmp_path / "train.tsv")
    return read_text(tmp_path / "train.tsv")


def test_rows_of_symbols_are_in_the_manifests_order(corpus):
    write_column(corpus.path, "ltr", ["a |", "", "b |"], None)
    assert [open_symbols(corpus, "ltr")[i] for i in range(3)] == ["a |", "", "b |"]


def test_rows_of_another_manifest_are_refused(corpus, tmp_path):
    write_column(corpus.path, "ltr", ["a |", "", "b |"], None)
    write_tone_corpus(tmp_path, 3, seed=1).write(corpus.path)
    with pytest.raises(BudgetError, match="made for another manifest"):
        open_symbols(read_text(corpus.path), "ltr")


def test_rows_of_fairseqs_scripts_are_counted(corpus, tmp_path):
    (tmp_path / "train.ltr").write_text("A |\nB |\nC |\n")
    assert open_symbols(corpus, "ltr")[2] == "C |"
    (tmp_path / "train.ltr").write_text("A |\nB |\n")
    with pytest.raises(BudgetError, match=r"2 lines, but .* 3 utterances: write it again"):
        open_symbols(corpus, "ltr")


def test_nothing_said_makes_no_dictionary(tmp_path):
    with pytest.raises(BudgetError, match="no transcript holds a word"):
        write_dictionary(tmp_path, "ltr", ["", ""])


def test_an_unreadable_dictionary_is_named(tmp_path):
    with pytest.raises(BudgetError, match=r"none\.txt"):
        read_dictionary(tmp_path / "none.txt")


def test_a_symbol_that_stands_twice_in_a_dictionary_is_named(tmp_path):
    (tmp_path / "dict.ltr.txt").write_text("a 2\n<s> 1\n")
    with pytest.raises(BudgetError, match="has '<s>' twice"):
        read_dictionary(tmp_path / "dict.ltr.txt")


def test_characters_that_are_likely_slips_are_named():
    texts = ["the quick brown fox's <b>XML</b>", "the the quick brown fox jumps over"]
    found = odd_characters(texts[:1], texts[1:])
    assert found["are of another case than most"] == ["L", "M", "X"]
    assert found["are no letters"] == ["/", "<", ">"]
    assert "/" in found["occur once"]
    assert "v" in found["are not in what is learned from, so they are never recognised"]
    assert odd_characters(["A CAT'S CAT", "SAT"], ["A CAT"]) == {"occur once": ["'"]}
    assert odd_characters(["नमस्ते नमस्ते"], []) == {}


def test_rows_that_are_no_text_are_an_error(corpus):
    corpus.path.with_suffix(".ltr").write_bytes(b"a |\n\xff |\nb |\n")
    with pytest.raises(BudgetError, match=r"cannot read .*train\.ltr .*budget-asr prepare"):
        open_symbols(corpus, "ltr")


@pytest.mark.parametrize("content", ["", "a\n", " 5\n", "a b 5\n", "a 5\n\n", "a -5\n", "a 5.5\n"])
def test_a_dictionary_of_something_else_is_an_error(tmp_path, content):
    (tmp_path / "dict.ltr.txt").write_text(content)
    with pytest.raises(BudgetError, match=r"dict\.ltr\.txt .*expected a symbol and its count"):
        read_dictionary(tmp_path / "dict.ltr.txt")
