"""Word pieces of a toy text."""

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.text.word_pieces import (
    VocabularyError,
    decode,
    encode,
    pieces,
    train_word_pieces,
    vocabulary,
)

TEXTS = ["the quick brown fox", "jumps over the lazy dog", "the dog and the fox", ""] * 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("pieces") / "bpe.model"
    train_word_pieces(TEXTS, 48, path)
    return path


def test_pieces_spell_the_text_again(model):
    ids = encode(model, TEXTS)
    assert decode(model, ids) == TEXTS
    assert ids[3] == []
    assert max(map(max, filter(None, ids))) < 48


def test_pieces_are_of_the_vocabulary_and_begin_words_with_a_mark(model):
    rows = pieces(model, TEXTS)
    assert "".join(rows[0]) == "▁the▁quick▁brown▁fox"
    assert {piece for row in rows for piece in row} <= set(vocabulary(model))
    assert len(vocabulary(model)) == 48 - 3  # special symbols
    assert pieces(model, ["é"]) == [["▁", "é"]]


def test_special_symbols_are_where_s3prl_wants_them(model):
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
    found = [pieces.pad_id(), pieces.eos_id(), pieces.unk_id(), pieces.bos_id()]
    assert found == [0, 1, 2, -1]
    assert encode(model, ["the é"])[0][-1] == 2  # a character that was never seen


def test_more_pieces_are_longer_pieces(tmp_path, model):
    train_word_pieces(TEXTS, 60, tmp_path / "more.model")
    fewer, more = (sum(map(len, encode(path, TEXTS))) for path in (model, tmp_path / "more.model"))
    assert more < fewer


def test_equal_texts_give_equal_bytes(tmp_path, model):
    train_word_pieces(TEXTS, 48, tmp_path / "again.model")
    assert (tmp_path / "again.model").read_bytes() == model.read_bytes()


def test_a_very_long_sentence_is_learned_from(tmp_path):
    train_word_pieces(["a b", "the long one " * 1000], 15, tmp_path / "long.model")
    assert 2 not in encode(tmp_path / "long.model", ["the long one"])[0]


@pytest.mark.parametrize(
    ("size", "message"),
    [(1000, r"allows at most \d+; ask for fewer"), (5, "alone are 30; ask for more")],
)
def test_a_vocabulary_that_does_not_fit_says_what_would(tmp_path, size, message):
    with pytest.raises(VocabularyError, match=message):
        train_word_pieces(TEXTS, size, tmp_path / "x.model")
    assert list(tmp_path.iterdir()) == []


def test_no_text_and_no_model_are_errors(tmp_path):
    with pytest.raises(BudgetError, match="no transcript holds a word"):
        train_word_pieces(["", " "], 10, tmp_path / "x.model")
    (tmp_path / "x.model").write_bytes(b"no model")
    (tmp_path / "empty.model").write_bytes(b"")
    for path in (tmp_path / "x.model", tmp_path / "empty.model", tmp_path / "missing.model"):
        with pytest.raises(BudgetError, match="cannot read the word pieces"):
            encode(path, ["a"])
