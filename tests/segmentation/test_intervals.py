"""Segmentations from TextGrids and tables."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_budget.corpus.manifest import Manifest, parse_utterance
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.segmentation.intervals import (
    boundary_times,
    interval_ends,
    table_spans,
    textgrid_spans,
)

SPANS = [(0.0, 0.25, "sil"), (0.25, 0.5, "a"), (0.5, 1.0, "b")]
HEADER = "utterance_id\tstart_s\tend_s\tphone\n"


def write_grid(path, spans=SPANS):
    rows = "\n".join(f'{start}\n{end}\n"{text}"' for start, end, text in spans)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'"ooTextFile"\n"TextGrid"\n0\n{spans[-1][1]}\n<exists>\n1\n"IntervalTier"\n"phones"\n0\n'
        f"{spans[-1][1]}\n{len(spans)}\n{rows}\n"
    )


def write_table(tmp_path, spans=SPANS, name="x"):
    path = tmp_path / "phones.tsv"
    path.write_text(HEADER + "".join(f"{name}\t{a}\t{b}\t{text}\n" for a, b, text in spans))
    return path


def times(utterance, spans=SPANS):
    return np.round(boundary_times(utterance, lambda _: spans), 6).tolist()


def corpus_of(tmp_path, *lines):
    utterances = [parse_utterance(*line) for line in lines]
    Manifest(tmp_path, utterances).write(tmp_path / "train.tsv")
    return read_text(tmp_path / "train.tsv")


def test_textgrids_and_tables_give_the_same_segments(tmp_path):
    corpus = corpus_of(tmp_path, ("s/x.wav", 16000))
    write_grid(tmp_path / "grids/x.TextGrid")
    for spans_of in (textgrid_spans(tmp_path / "grids", "phones"),
                     table_spans(write_table(tmp_path))):  # fmt: skip
        assert [row.tolist() for row in interval_ends(corpus, spans_of)] == [[13, 25, 49]]


def test_gaps_are_segments_of_their_own():
    gaps = [(0.2, 0.4, "a"), (0.6, 1.0, "b")]
    assert times(parse_utterance("x.wav", 16000), gaps) == [0, 0.2, 0.4, 0.6, 1]


def test_pieces_keep_their_place_and_their_joins_are_boundaries():
    joined = parse_utterance("x.wav@3200+3200|x.wav@7200+4800", 8000)  # 0.2-0.4 s, 0.45-0.75 s
    assert times(joined) == [0, 0.05, 0.2, 0.25, 0.5]


@pytest.mark.parametrize(("num_samples", "word"), [(15200, "after"), (16800, "before")])
def test_boundaries_longer_or_shorter_than_their_audio_are_an_error(num_samples, word):
    with pytest.raises(BudgetError, match=rf"x.wav end at 1.000 s, {word} its audio at .*0.04 s"):
        times(parse_utterance("x.wav", num_samples))


def test_two_frames_of_difference_are_none():
    times(parse_utterance("x.wav", 15400))
    times(parse_utterance("x.wav", 16600))


def test_pieces_need_intervals_to_their_end_only():
    times(parse_utterance("x.wav@0+8000", 8000))
    with pytest.raises(BudgetError, match=r"before its audio at 1.100 s"):
        times(parse_utterance("x.wav@8000+9600", 9600))


def test_a_grid_at_the_path_of_the_audio_goes_before_others_of_its_name(tmp_path):
    write_grid(tmp_path / "a/x.TextGrid")
    write_grid(tmp_path / "b/x.textgrid", [(0.0, 1.0, "all")])
    spans_of = textgrid_spans(tmp_path, "phones")
    assert spans_of("b/x.wav") == [(0.0, 1.0, "all")]
    with pytest.raises(BudgetError, match=r"2 TextGrids below .* are named 'x', for c/x.wav"):
        spans_of("c/x.wav")
    with pytest.raises(BudgetError, match=r"0 TextGrids .* are named 'y'"):
        spans_of("y.wav")


def test_a_folder_without_grids_is_an_error(tmp_path):
    with pytest.raises(BudgetError, match="holds no TextGrid"):
        textgrid_spans(tmp_path, "phones")


def test_a_table_out_of_order_or_without_the_recording_is_an_error(tmp_path):
    with pytest.raises(BudgetError, match=r"phones.tsv, 'x': interval 2 .*order of time"):
        table_spans(write_table(tmp_path, [SPANS[1], SPANS[0]]))
    with pytest.raises(BudgetError, match=r"no rows for s/y.wav.*'y'"):
        table_spans(write_table(tmp_path))("s/y.wav")
