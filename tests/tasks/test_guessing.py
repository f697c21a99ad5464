"""A validation stands beside what guessing would have: HuBERT's, wav2vec 2.0's and TERA's."""

from math import log

import numpy as np
import pytest

from fairseq_budget.corpus.labels import open_labels
from fairseq_budget.corpus.packed import open_corpus
from tests.labelled import make, manifests, small_parts, tones  # noqa: F401  # fixtures

pytestmark = pytest.mark.fairseq


@pytest.fixture
def labels(manifests):  # noqa: F811
    make(manifests)
    return open_labels(manifests, "valid", "km", corpus=open_corpus(manifests, "valid"))


def added(labels=(), num_negatives=None, **stats):
    from fairseq_budget.tasks._guessing import Guessing

    Guessing(labels, num_negatives).add(stats)
    return stats.get("unexplained")


def test_labels_are_guessed_by_how_often_each_stands_in_the_split(labels):
    ids = np.concatenate([labels.ids(index) for index in range(len(labels))])
    shares = np.unique(ids, return_counts=True)[1] / len(ids)
    guessed = -(shares * np.log(shares)).sum()
    assert labels.entropy_bits() == pytest.approx(guessed / log(2))
    assert added([labels], masked_prediction=guessed) == 1
    assert added([labels, labels], masked_prediction=guessed) == 0.5


def test_candidates_are_guessed_evenly():
    assert added(num_negatives=100, contrastive=log(101)) == 1


def test_what_is_logged_or_has_no_such_level_stays():
    assert added(reconstruction=0.3, unexplained=0.7) == 0.7
    assert added(masked_prediction=3.0) is None
    assert added(distillation=3.0) is None
