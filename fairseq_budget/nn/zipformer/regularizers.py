"""Changes to gradients in the Zipformer's training; forward, all of them are the identity.

Zipformer (arXiv 2310.11230), sections 3.3 and 3.4, with k2SSL's constants at the call sites. None
of it has parameters: it may be left out, and is absent in eval.

Differs: the recipe also skips the Balancers when GPU memory runs high, and samples a Whiten more
often while its limit is exceeded. Both depend on a run's past, so a resumed run would differ from
an uninterrupted one. Here a Whiten always uses the higher of its two probabilities: the same where
the limit is exceeded, and elsewhere it does nothing anyway.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_budget.nn.zipformer.chance import Chance, Scheduled, ScheduledFloat

Modify = Callable[[Tensor, Tensor], Tensor]  # (x, gradient), both float32 -> gradient

BALANCER_PROB = ScheduledFloat((0, 0.5), (8000, 0.125))
WHITEN_PROB = 0.25
LIMIT_PROB = 0.6
_TINY = 1e-20  # keeps quotients of float32 finite


class _ModifyGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, modify: Modify) -> Tensor:
        ctx.save_for_backward(x)
        ctx.modify = modify
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        with torch.autocast(x.device.type, enabled=False):
            return ctx.modify(x.float(), grad.float()).to(grad.dtype), None


def modify_gradient(x: Tensor, modify: Modify) -> Tensor:
    """x itself, whose gradient becomes ``modify(x, gradient)``, computed in float32."""
    return _ModifyGradient.apply(x, modify)


class Balancer(nn.Module):
    """Pulls each channel's mean and magnitude into a range, through the gradient.

    Limits are meant for normally distributed channels: the share of positive values (min and
    max_positive) and the mean absolute value (min and max_abs).
    """

    def __init__(
        self,
        *,
        min_positive: Scheduled,
        max_positive: Scheduled,
        min_abs: Scheduled,
        max_abs: Scheduled = 100.0,
        prob: Scheduled = BALANCER_PROB,
    ) -> None:
        super().__init__()
        self.positive = (min_positive, max_positive)
        self.abs = (min_abs, max_abs)
        self.prob = prob

    def forward(self, x: Tensor, chance: Chance) -> Tensor:  # (..., C)
        if not chance.happens(self.prob):
            return x
        ratio = [_mean_for_positive(chance.now(share)) for share in self.positive]
        rms = [math.sqrt(math.pi / 2) * chance.now(value) for value in self.abs]
        return modify_gradient(x, partial(balance, ratio_limits=ratio, rms_limits=rms))


def balance(
    x: Tensor,
    grad: Tensor,
    *,
    ratio_limits: list[float],
    rms_limits: list[float],
    scale: float = 0.04,
) -> Tensor:
    """grad + abs(grad) * scale * unit-rms gradient of the channels' violation of the limits.

    x and grad (..., C) float32. The violation of a channel is |m - clamp(m)| + |log(clamp(r) / r)|
    with m its mean over its standard deviation and r its rms.
    """
    over = tuple(range(x.dim() - 1))
    mean = x.mean(over)
    square = x.square().mean(over).clamp(min=_TINY)
    std = (square - mean.square()).clamp(min=_TINY).sqrt()
    ratio, rms = mean / std, square.sqrt()
    ratio_sign = (ratio > ratio_limits[1]).float() - (ratio < ratio_limits[0]).float()
    rms_sign = (rms > rms_limits[1]).float() - (rms < rms_limits[0]).float()
    # d ratio / dx is (1 - ratio (x - mean) / std) / (N std), d log(rms) / dx is x / (N rms^2)
    direction = ratio_sign * (1 - ratio * (x - mean) / std) / std + rms_sign * x / square
    direction = direction / direction.square().mean(over).sqrt().clamp(min=_TINY)
    return grad + grad.abs() * scale * direction


def _mean_for_positive(share: float) -> float:
    """Mean over standard deviation of a normal variable that is positive with this probability.

    The recipe's approximation of the inverse error function; its constant is 1 / (sqrt(pi) ln 2).
    """
    bounded = min(max(2 * share - 1, -1 + 1e-10), 1 - 1e-10)
    return math.atanh(bounded) / (math.sqrt(math.pi) * math.log(2))


class Whiten(nn.Module):
    """Pulls the covariance of channels towards a multiple of the identity, through the gradient.

    Acts while the whitening metric is above ``limit``; with groups, all groups' covariances
    are pulled towards the same multiple.
    """

    def __init__(self, limit: Scheduled, *, num_groups: int = 1, scale: float = 0.01) -> None:
        super().__init__()
        self.limit = limit
        self.prob = WHITEN_PROB
        self.num_groups = num_groups
        self.scale = scale

    def forward(self, x: Tensor, chance: Chance) -> Tensor:  # (..., C)
        if not chance.happens(self.prob):
            return x
        modify = partial(
            whiten, limit=chance.now(self.limit), num_groups=self.num_groups, scale=self.scale
        )
        return modify_gradient(x, modify)


def whiten(
    x: Tensor, grad: Tensor, *, limit: float, num_groups: int = 1, scale: float = 0.01
) -> Tensor:
    """grad + the metric's gradient brought to ``scale`` times grad's norm, above ``limit`` only.

    x and grad (..., C) float32. The gradient's direction is X Cov - (tr Cov^2 / tr Cov) X, for
    centred X.
    """
    centred, covariance = _covariance(x, num_groups)
    trace = covariance.diagonal(dim1=1, dim2=2).sum()
    excess = centred @ covariance - covariance.square().sum() / (trace + _TINY) * centred
    penalty = excess.transpose(0, 1).reshape(x.shape)
    factor = scale * grad.norm() / (penalty.norm() + _TINY)
    violated = _metric(covariance, x.shape[-1]) > limit  # no copy to the host
    return grad + penalty * (factor * violated)


def _covariance(x: Tensor, num_groups: int) -> tuple[Tensor, Tensor]:
    """Centred x of unit rms (G, N, C/G), and its covariance times N (G, C/G, C/G)."""
    x = x.reshape(-1, num_groups, x.shape[-1] // num_groups).transpose(0, 1)
    x = x - x.mean(1, keepdim=True)
    x = x / x.square().mean().sqrt().clamp(min=_TINY)
    return x, x.transpose(1, 2) @ x


def _metric(covariance: Tensor, num_channels: int) -> Tensor:
    """C * sum of squared covariances / squared sum of variances: 1 when white, else larger."""
    trace = covariance.diagonal(dim1=1, dim2=2).sum()
    return num_channels * covariance.square().sum() / (trace.square() + _TINY)


def limit_value(x: Tensor, low: Scheduled, high: float, chance: Chance) -> Tensor:
    """Keep a parameter softly in [low, high]: outside, its gradient never pushes further out."""
    if not chance.happens(LIMIT_PROB):
        return x
    return modify_gradient(x, partial(turn_inwards, low=chance.now(low), high=high))


def turn_inwards(x: Tensor, grad: Tensor, *, low: float, high: float) -> Tensor:
    """Flip the gradients whose descent would take x further below ``low`` or above ``high``."""
    outwards = ((grad > 0) & (x < low)) | ((grad < 0) & (x > high))
    return torch.where(outwards, -grad, grad)


def limit_scores(scores: Tensor, chance: Chance) -> Tensor:
    """On a tenth of calls, penalise attention scores beyond +-25 by 1e-4 per unit of excess.

    A failsafe: the penalty's weight is relative to a loss that is summed over frames.
    """
    return modify_gradient(scores, penalize_large) if chance.happens(0.1) else scores


def penalize_large(
    x: Tensor, grad: Tensor, *, limit: float = 25.0, penalty: float = 1e-4
) -> Tensor:
    """Add the gradient of ``penalty * relu(|x| - limit)``."""
    return grad + penalty * x.sign() * (x.abs() > limit)
