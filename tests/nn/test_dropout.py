"""Dropout from random bits: its share, its mean, its gradient, and where torch's is taken."""

from __future__ import annotations

import pytest
import torch

from fairseq_budget.nn.dropout import LEVELS, dropout


@pytest.mark.parametrize("prob", [0.001, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_it_drops_the_share_that_was_asked_for_and_keeps_the_mean(prob, dtype):
    torch.manual_seed(0)
    out = dropout(torch.ones(1000, 201, dtype=dtype), prob, training=True).double()
    dropped = (out == 0).double().mean()
    assert dropped == pytest.approx(prob, abs=5 * (prob * (1 - prob) / out.numel()) ** 0.5)
    assert out.max() == pytest.approx(1 / (1 - prob), rel=0.02)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    dropped = dropout(torch.ones(400_003), 0.3, training=True) == 0
    for lag in (1, 2, 3, 4, 5, 8):  # four values share a random number
        both = (dropped[lag:] & dropped[:-lag]).double().mean()
        assert both == pytest.approx(0.09, abs=0.003)


def test_what_is_dropped_has_no_gradient_and_the_rest_is_rescaled():
    torch.manual_seed(0)
    x = torch.randn(50, 7, requires_grad=True)
    out = dropout(x, 0.25, training=True)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    scale = torch.tensor(LEVELS / (LEVELS - LEVELS // 4))
    torch.testing.assert_close(gradient, torch.where(out == 0, 0, scale))
    torch.testing.assert_close(out, x.detach() * gradient)


def test_it_is_repeated_by_torchs_seed():
    x = torch.ones(5000)
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(dropout(x, 0.1, training=True))
    assert outs[0].equal(outs[1])
    assert not outs[0].equal(outs[2])


@pytest.mark.parametrize(("prob", "training"), [(0.0, True), (0.5, False), (1.0, True)])
def test_out_of_training_and_at_the_ends_it_is_torchs(prob, training):
    x = torch.randn(10)
    expected = torch.zeros(10) if training and prob == 1 else x
    assert dropout(x, prob, training).equal(expected)


def test_not_one_value_may_be_held():
    assert dropout(torch.empty(0, 3), 0.5, training=True).shape == (0, 3)
