"""Units of a toy text, counted by hand."""

import pytest

from fairseq_budget.text.units import characters, units_per_second, word_pieces


def test_characters_include_the_blank_between_words():
    row = units_per_second("characters", characters(["a dog", "fox"]), [8000, 24000])
    assert row.num_units == 8
    assert row.num_different == 7
    assert row.rate_hz == pytest.approx(8 / 2)


def test_more_word_pieces_are_fewer_units():
    texts = ["the dog and the fox", "the fox jumps over the lazy dog"] * 4
    few, many = (sum(map(len, word_pieces(texts, size))) for size in (30, 50))
    assert many < few < sum(map(len, characters(texts)))
