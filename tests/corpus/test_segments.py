"""Segmentations: written, read and cropped, with every line checked."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.manifest import Manifest, parse_utterance
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.segments import (
    crop_ends,
    ends_from_times,
    open_segments,
    write_segments,
)
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames


def halves(corpus):
    """Two segments for each utterance of two frames or more."""
    counts = num_frames(corpus.sizes).tolist()
    return [sorted({count // 2, count} - {0}) for count in counts]


@pytest.fixture
def corpus(manifests) -> Corpus:
    return read_text(manifests / "train.tsv")


@pytest.fixture
def segments(corpus):
    write_segments(corpus.path, halves(corpus), kind="table", more={"penalty": 3.0})
    return open_segments(corpus.path.parent, "train", corpus=corpus)


def write_line(corpus, index, text):
    """A segmentation whose line `index` holds another text."""
    lines = [" ".join(map(str, ends)) for ends in halves(corpus)]
    lines[index] = text
    write_column(corpus.path, "seg", lines, 50, more={"kind": "table"})


def test_what_was_written_is_read(corpus, segments):
    assert len(segments) == len(corpus)
    for index, ends in enumerate(halves(corpus)):
        assert segments.ends(index).tolist() == ends
    assert segments.column.rate == 50
    assert segments.column.description.items() >= {"kind": "table", "penalty": 3.0}.items()


def test_utterances_without_frames_have_no_segments(tmp_path):
    Manifest(tmp_path, [parse_utterance("x.wav", 399)]).write(tmp_path / "train.tsv")
    write_segments(tmp_path / "train.tsv", [[]], kind="table")
    assert open_segments(tmp_path, "train").ends(0).tolist() == []


def test_a_loader_worker_reads_the_same(segments):
    again = pickle.loads(pickle.dumps(segments))
    assert all(np.array_equal(again.ends(i), segments.ends(i)) for i in range(len(segments)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ends: f"{ends[-1] - 1}", "the boundaries are shorter than the audio"),
        (lambda ends: f"{ends[0]} {ends[-1] + 1}", "the boundaries are longer than the audio"),
        (lambda ends: f"9 5 {ends[-1]}", "end 5 follows 9, but the ends must increase"),
        (lambda ends: f"0 {ends[-1]}", "end 0 follows 0"),
        (lambda ends: f"7 7 {ends[-1]}", "end 7 follows 7"),
        (lambda ends: "1.5 3", "invalid literal"),
        (lambda ends: f"{10**30}", "expected ends in frames"),
    ],
)
def test_a_line_that_is_no_segmentation_of_its_audio_is_an_error(corpus, change, message):
    index = int(corpus.sizes.argmax())
    write_line(corpus, index, change(halves(corpus)[index]))
    with pytest.raises(BudgetError, match=message) as error:
        open_segments(corpus.path.parent, "train")
    assert f"train.seg, line {index + 1}: " in str(error.value)
    assert "make it with `budget-labels segment`" in str(error.value)


def test_other_columns_are_no_segmentations(corpus):
    write_column(corpus.path, "seg", ["1"] * len(corpus), 50)
    with pytest.raises(BudgetError, match="is no segmentation"):
        open_segments(corpus.path.parent, "train")
    with pytest.raises(BudgetError, match=r"train\.dp.*budget-labels segment"):
        open_segments(corpus.path.parent, "train", "dp")


@pytest.mark.parametrize("name", ["km", "tsv", "pack", "a/b", "", "seg.json"])
def test_a_segmentation_never_takes_the_place_of_another_file(corpus, name):
    with pytest.raises(BudgetError, match="--name"):
        write_segments(corpus.path, halves(corpus), kind="table", name=name)


@pytest.mark.parametrize(
    ("start", "size", "expected"),
    [(0, 9, [3, 7, 9]), (3, 4, [4]), (2, 5, [1, 5]), (4, 2, [2]), (6, 3, [1, 3]), (0, 0, [])],
)
def test_crops_cut_the_segments_at_their_edges(start, size, expected):
    assert crop_ends(np.array([3, 7, 9]), start, size).tolist() == expected


def test_frames_beyond_the_utterance_belong_to_its_last_segment():
    assert crop_ends(np.array([3, 7, 9]), 6, 4).tolist() == [1, 4]
    assert crop_ends(np.array([], np.int64), 0, 1).tolist() == [1]


def test_a_crop_has_the_segments_of_its_frames():
    rng = np.random.default_rng(0)
    ends = np.append(np.sort(rng.choice(np.arange(1, 100), 20, replace=False)), 100)
    segment = np.searchsorted(ends, np.arange(100), side="right")
    for start, size in rng.integers(1, 50, (50, 2)):
        cropped = crop_ends(ends, start, size)
        again = np.searchsorted(cropped, np.arange(size), side="right")
        assert np.array_equal(again, segment[start : start + size] - segment[start])


def test_times_move_to_the_nearest_frame():
    assert ends_from_times([0.109, 0.111, 0.3], 20).tolist() == [5, 6, 15, 20]
    assert ends_from_times([0.11], 20).tolist() == [6, 20]


def test_times_at_the_edges_and_beyond_make_no_segments():
    assert ends_from_times([-1, 0, 0.009, 0.391, 0.4, 7], 20).tolist() == [20]
    assert ends_from_times([], 20).tolist() == [20]
    assert ends_from_times([0.1], 0).tolist() == []
