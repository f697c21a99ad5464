"""Phones in time, found at samples of utterances."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_budget.corpus.manifest import parse_utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.text.alignments import NO_PHONE, Alignments, read_spans

HEADER = "utterance_id\tstart_s\tend_s\tphone\n"
ROWS = 'a\t0.0\t0.5\tsil\na\t0.5\t1.0\tə\nb\t0.25\t0.5\tsil\nb\t0.75\t1.0\t"\n'


@pytest.fixture
def alignments(tmp_path) -> Alignments:
    (tmp_path / "phones.tsv").write_text(HEADER + ROWS, encoding="utf-8")
    return Alignments.read(tmp_path / "phones.tsv")


def names(alignments, utterance, seconds):
    samples = (np.array(seconds) * 16000).astype(np.int64)
    found = alignments.phones_at(utterance, samples)
    return [None if i == NO_PHONE else alignments.phones[i] for i in found]


def test_phones_are_found_at_their_times(alignments):
    whole = parse_utterance("speaker/a.wav", 16000)
    assert names(alignments, whole, [0, 0.49, 0.5, 0.99]) == ["sil", "sil", "ə", "ə"]


def test_there_is_no_phone_in_gaps_and_unknown_recordings(alignments):
    gaps = parse_utterance("b.flac", 32000)
    assert names(alignments, gaps, [0, 0.3, 0.6, 0.8, 1.5]) == [None, "sil", None, '"', None]
    assert names(alignments, parse_utterance("c.wav", 16000), [0, 0.5]) == [None, None]


def test_pieces_keep_their_place_in_the_recording(alignments):
    joined = parse_utterance("x/a.wav@6400+3200|b.wav@8000+8000", 11200)
    found = names(alignments, joined, [0, 0.15, 0.25, 0.5, 0.65])
    assert found == ["sil", "ə", None, '"', '"']


@pytest.mark.parametrize("content", ["", "a\t0\t1\tsil\n", HEADER + "a\t0\tsil\n",
                                     HEADER + "a\tx\t1\tsil\n", HEADER + "a\tnan\t1\tsil\n",
                                     HEADER + "a\t0\tinf\tsil\n",
                                     HEADER + f"a\t0\t1\t{'x' * 200_000}\n"])  # fmt: skip
def test_a_table_that_is_none_is_an_error(tmp_path, content):
    path = tmp_path / "phones.tsv"
    path.write_text(content)
    if content:
        with pytest.raises(BudgetError, match=r"cannot read the alignments .*phones.tsv"):
            Alignments.read(path)
    with pytest.raises(BudgetError, match=r"cannot read the alignments"):
        Alignments.read(tmp_path / "missing.tsv")


@pytest.mark.parametrize("rows", ["a\t0.5\t1\tsil\na\t0\t0.5\tə\n", "a\t1\t0.5\tsil\n"])
def test_rows_that_are_not_in_the_order_of_time_are_an_error(tmp_path, rows):
    (tmp_path / "phones.tsv").write_text(HEADER + rows, encoding="utf-8")
    with pytest.raises(BudgetError, match=r"phones\.tsv, 'a': interval .* order of time"):
        Alignments.read(tmp_path / "phones.tsv")


def test_a_table_of_words_is_headed_by_word(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text(HEADER.replace("phone", "word") + "a\t0.5\t1\tof the\n")
    assert read_spans(path, "word") == {"a": [(0.5, 1.0, "of the")]}
    with pytest.raises(BudgetError, match=r"words.tsv has$"):
        read_spans(tmp_path / "missing.tsv", "word")
    with pytest.raises(BudgetError, match="cannot read the alignments"):
        read_spans(path)
