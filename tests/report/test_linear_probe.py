"""Linear probes: scikit-learn's weights, all of what is separable, and no more than chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_budget.report.linear_probe import (
    chance_accuracy,
    fit_logistic,
    probe_accuracy,
    standardized,
)


def blobs(num_items: int = 300, num_classes: int = 3, spread: float = 1.0):
    """Features (N, 8) around a centre for each class, classes (N,), and which are for testing."""
    generator = torch.Generator().manual_seed(1)
    centres = 4 * torch.randn(num_classes, 8, generator=generator)
    y = torch.arange(num_items) % num_classes
    x = centres[y] + spread * torch.randn(num_items, 8, generator=generator)
    return x, y, torch.arange(num_items) % 4 == 1


def test_weights_are_those_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y, _ = blobs(spread=4.0)
    x = x.double()
    weight, bias = fit_logistic(x, y, 3)
    reference = linear_model.LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(weight, reference.coef_, atol=2e-3)
    ours = torch.softmax(x @ weight.T + bias, 1)
    np.testing.assert_allclose(ours, reference.predict_proba(x), atol=1e-3)


def test_what_is_separable_is_found_in_all_of_the_test_items():
    assert probe_accuracy(*blobs(spread=0.2)) == 1


def test_shuffled_classes_are_guessed():
    x, y, is_test = blobs(3000)
    shuffled = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(2))]
    assert probe_accuracy(x, shuffled, is_test) == pytest.approx(1 / 3, abs=0.06)


def test_test_items_are_not_learnt_from():
    x, y, is_test = blobs(spread=0.2)
    assert probe_accuracy(x, torch.where(is_test, (y + 1) % 3, y), is_test) == 0


def test_units_and_constant_features_change_nothing():
    x, y, is_test = blobs(spread=4.0)
    scaled = torch.cat([1000 * x + 7, torch.ones(len(x), 1)], 1)
    assert probe_accuracy(scaled, y, is_test) == pytest.approx(probe_accuracy(x, y, is_test))
    assert standardized(scaled, scaled)[:, -1].tolist() == [0] * len(x)


def test_two_fits_are_the_same_to_the_bit():
    assert probe_accuracy(*blobs(spread=4.0)) == probe_accuracy(*blobs(spread=4.0))
    assert torch.equal(fit_logistic(*blobs()[:2], 3)[0], fit_logistic(*blobs()[:2], 3)[0])


def test_chance_names_the_class_that_is_commonest_where_it_is_learnt():
    y = torch.tensor([0, 0, 1, 0, 1, 1, 1])
    is_test = torch.tensor([False, False, False, True, True, True, True])
    assert chance_accuracy(y, is_test) == 0.25
