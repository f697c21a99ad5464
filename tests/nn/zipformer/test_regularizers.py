"""Gradients of Balancer, Whiten and the limits against their definitions."""

import math

import pytest
import torch

from fairseq_budget.nn.zipformer.chance import EVAL, Chance
from fairseq_budget.nn.zipformer.regularizers import (
    WHITEN_PROB,
    Balancer,
    Whiten,
    balance,
    limit_scores,
    limit_value,
    modify_gradient,
    turn_inwards,
    whiten,
)
from fairseq_budget.nn.zipformer.regularizers import _mean_for_positive as mean_for_positive
from tests.nn.zipformer.drawn import noise


def always() -> Chance:
    """Training in which every event of positive probability happens."""
    chance = Chance(True, generator=torch.Generator().manual_seed(0))
    chance.happens = lambda prob: chance.now(prob) > 0
    return chance


def test_balancing_adds_the_normalised_gradient_of_the_violation():
    x = noise(4, 9, 6) * torch.tensor([0.01, 0.3, 1, 2, 9, 1]) + torch.tensor([0, 1, 0, -3, 0, 0])
    grad = noise(4, 9, 6, seed=1)
    (low, high), (least, most) = (-0.6, 0.6), (0.25, 5.0)
    leaf = x.clone().requires_grad_()
    mean, square = leaf.mean((0, 1)), leaf.square().mean((0, 1))
    ratio, rms = mean / (square - mean.square()).sqrt(), square.sqrt()
    violation = (ratio - ratio.clamp(low, high)).abs() + (rms.clamp(least, most) / rms).log().abs()
    violation.sum().backward()
    unit = leaf.grad / leaf.grad.square().mean((0, 1)).sqrt().clamp(min=1e-20)
    expected = grad + grad.abs() * 0.04 * unit
    found = balance(x, grad, ratio_limits=[low, high], rms_limits=[least, most])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, grad)
    torch.testing.assert_close(found[..., 5], grad[..., 5])  # a channel within its limits


def test_descending_a_balanced_gradient_brings_channels_into_range():
    x = noise(50, 8) * 0.01 + 3
    grad = torch.ones(50, 8)
    for _ in range(3):
        moved = x - (balance(x, grad, ratio_limits=[-0.1, 0.1], rms_limits=[0.5, 2.0]) - grad)
        assert moved.mean() < x.mean()
        x = moved


@pytest.mark.parametrize("share", [0.3, 0.45, 0.5, 0.55, 0.7])
def test_shares_of_positive_values_become_means_as_the_error_function_says(share):
    ratio = mean_for_positive(share)
    assert 0.5 * (1 + math.erf(ratio)) == pytest.approx(share, abs=0.03)
    assert mean_for_positive(1 - share) == pytest.approx(-ratio)
    assert math.isfinite(mean_for_positive(1.0))


def whitening_metric(x, groups):
    """1 where channels of all groups are uncorrelated and of one variance, else larger."""
    covariances = [torch.cov(part.flatten(0, -2).T) for part in x.chunk(groups, -1)]
    traces = sum(covariance.trace() for covariance in covariances)
    return x.shape[-1] * sum(c.square().sum() for c in covariances) / traces.square()


@pytest.mark.parametrize("groups", [1, 2])
def test_whitening_adds_the_metrics_gradient_at_a_share_of_the_norm(groups):
    mixing = noise(6, 6, seed=2)
    x, grad = noise(5, 11, 6) @ mixing + 2, noise(5, 11, 6, seed=1)
    leaf = x.clone().requires_grad_()
    metric = whitening_metric(leaf, groups)
    metric.backward()
    above = metric.item() + 0.1
    expected = grad + leaf.grad * (0.03 * grad.norm() / leaf.grad.norm())
    found = whiten(x, grad, limit=1.0, num_groups=groups, scale=0.03)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(whiten(x, grad, limit=above, num_groups=groups), grad)


@pytest.mark.parametrize("frames", [1, 2])
def test_silence_and_single_frames_give_finite_gradients(frames):
    grad = torch.ones(frames, 4)
    for x in (torch.zeros(frames, 4), torch.full((frames, 4), 7.0)):
        balanced = balance(x, grad, ratio_limits=[-0.1, 0.1], rms_limits=[0.5, 2.0])
        assert balanced.isfinite().all()
        assert whiten(x, grad, limit=1.0).isfinite().all()


def test_modified_gradients_leave_the_forward_pass_alone():
    balancer = Balancer(min_positive=0.45, max_positive=0.55, min_abs=0.2, max_abs=0.3)
    for module in (balancer, Whiten(1.0)):
        x = (noise(2, 7, 4) + 1).requires_grad_()
        y = module(x, always())
        assert torch.equal(x, y)
        y.sum().backward()
        assert not torch.allclose(x.grad, torch.ones_like(x))
        plain = x.detach().clone().requires_grad_()
        module(plain, EVAL).sum().backward()
        assert torch.equal(plain.grad, torch.ones_like(x))


def test_they_are_sampled_with_their_probability():
    chance = Chance(True, generator=torch.Generator().manual_seed(0))
    x = noise(1, 2, 4)
    acted = sum(Whiten(1.0)(x, chance) is not x for _ in range(2000))
    assert acted / 2000 == pytest.approx(WHITEN_PROB, abs=0.03)


def test_a_parameter_out_of_range_is_never_pushed_further_out():
    x = torch.tensor([-2.0, -2.0, 0.0, 0.0, 2.0, 2.0])
    grad = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])  # descent moves against it
    turned = turn_inwards(x, grad, low=-1.0, high=1.0)
    assert turned.tolist() == [-1.0, -1.0, 1.0, -1.0, 1.0, 1.0]
    scale = x.clone().requires_grad_()
    (limit_value(scale, -1.0, 1.0, always()) * grad).sum().backward()
    assert torch.equal(scale.grad, turned)


def test_only_attention_scores_beyond_25_are_penalised():
    scores = torch.tensor([30.0, -30.0, 24.0, 0.0], requires_grad=True)
    limit_scores(scores, always()).sum().backward()
    torch.testing.assert_close(
        scores.grad - 1, torch.tensor([1e-4, -1e-4, 0, 0]), atol=1e-7, rtol=0
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_modifications_are_computed_in_float32_and_returned_in_the_gradients_dtype(dtype):
    seen = []

    def modify(x, grad):
        seen.append((x.dtype, grad.dtype))
        return grad

    x = torch.ones(3, dtype=dtype, requires_grad=True)
    modify_gradient(x, modify).sum().backward()
    assert seen == [(torch.float32, torch.float32)]
    assert x.grad.dtype is dtype
