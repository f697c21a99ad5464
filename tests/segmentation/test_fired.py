"""Boundaries that a CIF student fires at, and their scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.report.boundaries import fire
from fairseq_budget.segmentation.fired import EVEN, STUDENT, score_split, true_boundaries
from tests.synthetic import tone


def student(kind="cif", rate=4.0):
    torch.manual_seed(0)
    config = EncoderConfig(
        size="tiny", encoder_layers=1, subsample=kind, subsample_rate=rate
    )  # fmt: skip
    return SpeechEncoder(config).eval()


@pytest.fixture(scope="module")
def steady():
    """A student whose weights are 1/4 whatever it hears."""
    encoder = student()
    torch.nn.init.zeros_(encoder.subsampler.cif.proj.weight)
    return encoder


def every_80_ms(duration_s, shift_s=0.0):
    ends = [*np.arange(0.08, duration_s, 0.08) + shift_s, duration_s]
    return list(zip([0.0, *ends[:-1]], ends, "ab" * len(ends), strict=False))


def test_constant_weights_fire_at_regular_times(steady):
    fired = fire(steady, tone(16_000, seed=0))
    assert fired.alphas == pytest.approx(np.full(num_frames(16_000), 0.25), abs=1e-6)
    assert fired.boundaries_s[:11] == pytest.approx(0.08 * np.arange(1, 12), abs=1e-4)


def test_the_end_of_the_utterance_is_no_boundary(steady):
    fired = fire(steady, tone(16_000, seed=0))
    assert len(fired.boundaries_s) == len(fired.ends_s) - 1
    assert fired.ends_s[-1] == num_frames(16_000) / 50
    assert len(fire(steady, tone(400, seed=0)).boundaries_s) == 0


def test_a_student_that_fires_at_the_truth_scores_one(steady, manifests):
    corpus = read_text(manifests / "valid.tsv")
    durations = {corpus.utterance(i).name: corpus.sizes[i] / 16_000 for i in range(len(corpus))}
    scores = score_split(steady, corpus, lambda path: every_80_ms(durations[path]))
    assert scores[STUDENT].precision > 0.95  # a last segment may be dropped, or be a residue
    assert scores[STUDENT].recall > 0.9
    shifted = score_split(steady, corpus, lambda path: every_80_ms(durations[path], 0.04))
    assert shifted[STUDENT].num_hits == 0
    assert scores[EVEN].num_hypothesised == scores[STUDENT].num_hypothesised


def test_boundaries_at_the_edges_of_an_utterance_are_not_true_ones(manifests):
    corpus = read_text(manifests / "valid.tsv")
    index = int(corpus.sizes.argmax())
    end = float(corpus.sizes[index]) / 16_000
    spans = [(0.0, 0.01, "a"), (0.01, 0.3, "b"), (0.3, end - 0.01, "c")]
    assert true_boundaries(corpus, index, lambda _: spans) == [0.3]


@pytest.mark.parametrize("kind", ["none", "average"])
def test_encoders_without_boundaries_of_their_own_are_an_error(kind):
    with pytest.raises(BudgetError, match=rf"subsample={kind}, .*expected one with .*cif"):
        fire(student(kind), tone(16_000, seed=0))
