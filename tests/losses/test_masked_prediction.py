"""HuBERT's loss."""

import math

import pytest
import torch

from fairseq_budget.losses.masked_prediction import cluster_cross_entropy


def test_uniform_logits_cost_log_of_the_clusters_per_frame():
    term = cluster_cross_entropy(torch.zeros(5, 100), torch.arange(5))
    assert term.sum.item() == pytest.approx(5 * math.log(100), rel=1e-5)
    assert term.count == 5


def test_the_loss_is_minus_log_p_of_the_label():
    logits, labels = torch.randn(4, 7), torch.tensor([0, 6, 3, 3])
    expected = -sum(logits[n].softmax(0)[label].log() for n, label in enumerate(labels))
    torch.testing.assert_close(cluster_cross_entropy(logits, labels).sum, expected)


def test_the_loss_is_additive_over_batches():
    logits, labels = torch.randn(9, 7), torch.randint(0, 7, (9,))
    parts = [cluster_cross_entropy(logits[s], labels[s]) for s in (slice(4), slice(4, 9))]
    whole = cluster_cross_entropy(logits, labels)
    torch.testing.assert_close(whole.sum, parts[0].sum + parts[1].sum)


def test_no_frame_costs_nothing():
    term = cluster_cross_entropy(torch.zeros(0, 7), torch.zeros(0, dtype=torch.long))
    assert (term.sum.item(), term.count) == (0.0, 0)
