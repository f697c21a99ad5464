"""Segmenting a folder by smoothed codes: exact, resumable, and at the rate that is asked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fairseq_budget.corpus.column_kinds import model_path
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.segments import open_segments
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.features import Feature, MfccExtractor
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.parts import Workers
from fairseq_budget.segmentation.segmenting import Segment, find_penalty, search_penalty
from fairseq_budget.segmentation.smoothing import smooth
from tests.labelled import contents, make
from tests.synthetic import tone

pytestmark = pytest.mark.slow

SPLITS = ("train", "valid")
PENALTY = 300.0


@pytest.fixture(scope="module")
def melodies(tmp_path_factory) -> Path:
    """Utterances of up to ten tones of 0.1 s, and one that is too short for a frame."""
    folder = tmp_path_factory.mktemp("melodies")
    for split, count in (("train", 16), ("valid", 6)):
        utterances = [
            Utterance((Piece(f"{split}{n}.wav"),), 1600 * (n % 10 + 1)) for n in range(count)
        ]
        utterances[0] = Utterance((Piece(f"{split}0.wav"),), 300)
        for number, utterance in enumerate(utterances):
            notes = [tone(1600, seed=100 * count + 10 * number + note) for note in range(10)]
            soundfile.write(
                folder / utterance.name, np.concatenate(notes)[: utterance.num_samples], 16000
            )
        Manifest(folder, utterances).write(folder / f"{split}.tsv")
    return folder


@pytest.fixture
def manifests(melodies, tmp_path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for split in SPLITS:
        shutil.copy(melodies / f"{split}.tsv", folder)
    return folder


def segment(folder, penalty=PENALTY, *, num_workers=1, name="seg"):
    with Workers(num_workers) as workers:
        Segment(folder, Feature(), SPLITS, penalty, name).run(workers)


def rate(folder, split="train"):
    segments = open_segments(folder, split)
    num_segments = sum(len(segments.ends(index)) for index in range(len(segments)))
    return 50 * num_segments / segments.num_frames.sum()


def test_segments_smooth_the_distances_of_frames_to_all_centroids(labelled):
    segment(labelled)
    model = KMeans.load(model_path(labelled, "km"))
    for split in SPLITS:
        corpus, segments = read_text(labelled / f"{split}.tsv"), open_segments(labelled, split)
        for index in range(len(corpus)):
            frames = MfccExtractor()([corpus.read(index)])[0][::2]
            distances = ((frames[:, None] - model.centroids) ** 2).sum(2)
            assert np.array_equal(segments.ends(index), smooth(distances, PENALTY)[1])


def test_without_a_penalty_segments_are_runs_of_labels(labelled):
    segment(labelled, 0)
    corpus, segments = read_text(labelled / "train.tsv", ["km"]), open_segments(labelled, "train")
    for index in range(len(corpus)):
        labels = corpus.columns["km"].numbers(index)[::2]
        ends = np.append(np.flatnonzero(np.diff(labels)) + 1, len(labels))
        assert segments.ends(index).tolist() == ends[ends > 0].tolist()


def test_the_description_says_how_they_were_made(labelled):
    segment(labelled, name="dp")
    description = open_segments(labelled, "valid", "dp").column.description
    assert description["kind"] == "smoothed"
    assert description["penalty"] == PENALTY
    assert description["centroids"] == KMeans.load(model_path(labelled, "km")).sha256
    assert description["feature"] == {"kind": "mfcc"}


def test_killed_and_started_again_the_bytes_are_the_same(labelled, monkeypatch):
    segment(labelled)
    whole = contents(labelled)
    for path in labelled.glob("*.seg*"):
        path.unlink()
    replace, left = os.replace, 0

    def replace_or_die(source, target):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        replace(source, target)

    num_killed = 0
    while num_killed < 60:
        left = 2  # a part or two; the column and its description
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace_or_die)
            try:
                segment(labelled)
                break
            except KeyboardInterrupt:
                num_killed += 1
    assert 2 < num_killed < 40
    assert contents(labelled) == whole


def test_the_number_of_processes_changes_nothing(labelled):
    segment(labelled)
    one = contents(labelled)
    for path in labelled.glob("*.seg*"):
        path.unlink()
    segment(labelled, num_workers=2)
    assert contents(labelled) == one


def test_finished_work_is_not_done_again_but_another_penalty_is(labelled, monkeypatch):
    segment(labelled)
    few = rate(labelled)
    with monkeypatch.context() as patch:
        patch.delattr(MfccExtractor, "__call__")
        segment(labelled)
    segment(labelled, 0)
    assert rate(labelled) > few


def test_a_model_of_another_feature_is_refused(labelled):
    model = KMeans.load(model_path(labelled, "km"))
    other = {**model.description, "feature": {"kind": "layer", "layer": 6, "checkpoint": "x"}}
    KMeans(model.centroids, other).save(model_path(labelled, "km"))
    with pytest.raises(BudgetError, match=r"was fitted on .*layer.*name that feature"):
        segment(labelled)


def test_a_model_must_be_fitted_first(manifests):
    with pytest.raises(BudgetError, match="run `budget-labels fit"):
        segment(manifests)


def test_the_penalty_that_is_found_gives_the_rate_that_was_asked_for(labelled):
    corpus = read_text(labelled / "train.tsv")
    target = rate_of_zero(labelled) / 2
    penalty, reached = find_penalty(corpus, Feature(), target)
    assert reached == pytest.approx(target, rel=0.05)
    assert find_penalty(corpus, Feature(), target) == (penalty, reached)
    segment(labelled, penalty)
    assert rate(labelled) == pytest.approx(reached)  # the sample is all of this small split


def rate_of_zero(folder):
    segment(folder, 0)
    return rate(folder)


def test_a_rate_that_no_penalty_reaches_is_an_error_that_names_the_range(labelled):
    corpus, highest = read_text(labelled / "train.tsv"), rate_of_zero(labelled)
    for target in (highest * 1.1, 0.001):
        message = rf"--target-rate .* has {highest:.2f} segments .* and \d\.\d\d as whole"
        with pytest.raises(BudgetError, match=message):
            find_penalty(corpus, Feature(), target)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("target", [1.0, 12.5, 30.0])
def test_the_search_finds_penalties_of_any_scale(scale, target):
    penalty, rate_hz = search_penalty(lambda penalty: max(40 / (1 + penalty / scale), 0.5), target)
    assert rate_hz == pytest.approx(target, rel=0.005)
    assert float(f"{penalty:.4g}") == pytest.approx(penalty)


def test_between_two_steps_the_search_takes_the_nearer():
    penalty, rate_hz = search_penalty(lambda penalty: 20.0 if penalty < 3 else 10.0, 13.0)
    assert rate_hz == 10
    assert penalty >= 3


def test_seeds_draw_other_samples_of_a_large_split(manifests, monkeypatch):
    make(manifests)
    monkeypatch.setattr("fairseq_budget.segmentation.segmenting.SAMPLE_S", 2)
    corpus = read_text(manifests / "train.tsv")
    assert len({find_penalty(corpus, Feature(), 5.0, seed=seed) for seed in range(4)}) > 1
