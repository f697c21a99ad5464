"""The sample that k-means is fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_budget.labels import sample as module
from fairseq_budget.labels.sample import choose_sample, sample_utterance

LENGTHS = np.array([10, 0, 300, 25, 40, 7000, 1, 90])


def test_a_small_corpus_is_taken_whole():
    sample = choose_sample(LENGTHS, int(LENGTHS.sum()), seed=0)
    assert sample.utterances.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert sample.counts.tolist() == LENGTHS.tolist()


@pytest.mark.parametrize("seed", [0, 5])
def test_utterances_are_those_that_simple_kmeans_draws(seed):
    lengths = np.random.default_rng(0).integers(1, 300, size=200)
    np.random.seed(seed)  # noqa: NPY002
    theirs = np.random.choice(len(lengths), 20, replace=False)  # noqa: NPY002
    sample = choose_sample(lengths, int(lengths[theirs].sum()), seed)
    assert sample.utterances.tolist() == sorted(theirs.tolist())
    assert np.array_equal(sample.counts, lengths[sample.utterances])


@pytest.mark.parametrize("num_frames", [1, 50, 400, 6400])
def test_a_sample_has_exactly_the_frames_asked_for(num_frames):
    for seed in range(5):
        sample = choose_sample(LENGTHS, num_frames, seed)
        assert sample.num_frames == num_frames
        assert (np.diff(sample.utterances) > 0).all()
        assert (sample.counts <= LENGTHS[sample.utterances]).all()
        assert (sample.counts > 0).all()


def test_a_sample_is_a_function_of_lengths_and_seed():
    first, again, other = (choose_sample(LENGTHS, 100, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.utterances, again.utterances)
    assert np.array_equal(first.counts, again.counts)
    assert not np.array_equal(first.utterances, other.utterances)


def test_a_long_recording_does_not_make_up_the_sample(monkeypatch):
    monkeypatch.setattr(module, "MAX_FRAMES_PER_UTTERANCE", 50)
    lengths = np.array([100_000] * 10)
    sample = choose_sample(lengths, 300, seed=0)
    assert sample.counts.tolist() == [50] * 6


def test_frames_of_an_utterance_are_drawn_by_the_seed_in_the_order_of_time():
    frames = np.arange(40, dtype=np.float32)[:, None]
    first, again, other = (sample_utterance(frames, 9, seed=(0, s)) for s in (3, 3, 4))
    assert len(first) == 9
    assert (np.diff(first[:, 0]) > 0).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert sample_utterance(frames, 40, seed=(0, 1)) is frames
