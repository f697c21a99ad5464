"""Figures of labels, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fairseq_budget.corpus.labels import open_labels
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.quality import (
    Counts,
    count_split,
    phone_figures,
    verdict,
)
from fairseq_budget.text.alignments import Alignments


def test_frames_runs_and_entropy_by_hand():
    counts = Counts(4, 100)
    counts.add(np.array([0, 0, 1, 1]))
    counts.add(np.array([1, 1, 0, 0]))
    counts.add(np.array([], dtype=np.int64))
    summary = counts.summary()
    assert summary["num_frames"] == 8
    assert summary["num_utterances"] == 3
    assert summary["num_utterances_without_frames"] == 1
    assert summary["num_empty_clusters"] == 2
    assert summary["entropy_bits"] == 1
    assert summary["perplexity"] == 2
    assert summary["mean_run_frames"] == 2  # runs end with their utterance
    assert summary["mean_run_ms"] == 20
    assert summary["largest_cluster"] == 0.5


def test_purities_and_pnmi_by_hand():
    joint = np.array([[3, 1, 0], [0, 1, 3]])
    figures = phone_figures(joint)
    assert figures["phone_purity"] == pytest.approx(7 / 8)
    assert figures["cluster_purity"] == pytest.approx(6 / 8)
    # H(y) = 1 bit; the middle cluster, a quarter of the frames, says nothing
    assert figures["pnmi"] == pytest.approx(0.75)


def test_clusters_that_are_phones_are_perfect_and_independent_ones_say_nothing():
    perfect = phone_figures(np.diag([5, 2, 9]))
    assert (perfect["phone_purity"], perfect["cluster_purity"]) == (1, 1)
    assert perfect["pnmi"] == pytest.approx(1)
    assert phone_figures(np.outer([1, 2, 3], [4, 5]))["pnmi"] == pytest.approx(0, abs=1e-12)


def test_splitting_a_cluster_never_lowers_phone_purity_and_pnmi():
    rng = np.random.default_rng(0)
    for _ in range(20):
        joint = rng.integers(1, 50, size=(6, 4))
        part = rng.integers(0, joint[:, :1] + 1)
        split = np.concatenate([part, joint[:, :1] - part, joint[:, 1:]], axis=1)
        before, after = phone_figures(joint), phone_figures(split)
        assert after["phone_purity"] >= before["phone_purity"]
        assert after["pnmi"] >= before["pnmi"] - 1e-12
        assert after["cluster_purity"] <= before["cluster_purity"]


def test_alignments_of_other_recordings_are_an_error():
    with pytest.raises(BudgetError, match="none of the utterances is in the alignments"):
        phone_figures(np.zeros((3, 4), dtype=np.int64))


def test_the_phones_of_a_split_are_counted_frame_by_frame(labelled):
    corpus, labels = read_text(labelled / "valid.tsv"), open_labels(labelled, "valid")
    halves = {}
    for index in range(len(corpus)):
        name = corpus.name(index).split("/")[1].removesuffix(".wav")
        halves.setdefault(name, [(0.0, 0.5, "first"), (0.5, 9.0, "rest")])
    summary = count_split(labels, corpus, range(len(corpus)), Alignments(halves)).summary()
    assert summary["num_frames_with_phone"] == summary["num_frames"]
    assert 0 <= summary["pnmi"] <= 1
    assert math.isclose(summary["hours"], summary["num_frames"] / 360_000)


def good_counts(num_clusters=10):
    counts = Counts(num_clusters, 100, ["a", "b"])
    ids = np.arange(1000) % num_clusters
    counts.add(ids, (ids >= num_clusters // 2).astype(np.int64))
    return counts


def test_good_labels_have_no_findings():
    assert verdict(good_counts().summary()) == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"num_empty_clusters": 3}, "3 of 10 clusters are empty"),
        ({"largest_cluster": 0.9}, "one cluster holds 90% of the frames"),
        ({"perplexity": 3.0}, "as unevenly as 3 equal ones"),
        ({"phone_purity": 0.55}, "phone purity 0.55 is hardly above the 0.50"),
    ],
)
def test_each_weakness_is_named(change, match):
    findings = verdict({**good_counts().summary(), **change})
    assert len(findings) == 1
    assert match in findings[0]
