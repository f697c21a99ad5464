"""The Zipformer's small parts: activation, norm, bypass, down- and upsampling, positions.

Zipformer (arXiv 2310.11230), section 3, with k2SSL's constants. Shapes as in nn/encoder.py;
parameter names are k2SSL's.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fairseq_budget.nn.lengths import num_groups
from fairseq_budget.nn.zipformer.chance import Chance, Scheduled, ScheduledFloat
from fairseq_budget.nn.zipformer.regularizers import limit_value

SWOOSH_L, SWOOSH_R = 4.0, 1.0  # where the activation bends
_SWOOSH_OFFSET = {SWOOSH_L: 0.035, SWOOSH_R: 0.313261687}  # R is 0 at 0, L nearly so
BYPASS_MIN = ScheduledFloat((0, 0.9), (20000, 0.2))


def swoosh(x: Tensor, shift: float) -> Tensor:
    """log(1 + exp(x - shift)) - 0.08 x - offset, in float32 (the paper's eq. 4 and 5)."""
    return F.softplus(x.float() - shift) - 0.08 * x.float() - _SWOOSH_OFFSET[shift]


def scaled_linear(in_dim: int, out_dim: int, *, scale: float, bias: bool = True) -> nn.Linear:
    """A linear layer whose initial weights are ``scale`` times torch's, with a small bias."""
    linear = nn.Linear(in_dim, out_dim, bias=bias)
    with torch.no_grad():
        linear.weight.mul_(scale)
        if bias:
            linear.bias.uniform_(-0.1 * scale, 0.1 * scale)
    return linear


class _SwooshLinear(torch.autograd.Function):
    """linear(swoosh(x) * mask), keeping nothing but x: the activation is computed again."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mask: Any, shift: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mask)
        ctx.shift, ctx.bias_dtype = shift, bias.dtype
        return F.linear(_activated(x, mask, shift), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mask = ctx.saved_tensors
        hidden = _activated(x, mask, ctx.shift).to(grad.dtype)
        slope = (torch.sigmoid(x.float() - ctx.shift) - 0.08).to(grad.dtype)
        grad_x = grad @ weight.to(grad.dtype) * (slope if mask is None else slope * mask)
        rows = grad.flatten(0, -2)
        grad_weight = rows.T @ hidden.flatten(0, -2)
        grad_bias = rows.sum(0).to(ctx.bias_dtype)
        return grad_x.to(x.dtype), grad_weight.to(weight.dtype), grad_bias, None, None


def _activated(x: Tensor, mask: Tensor | None, shift: float) -> Tensor:
    y = swoosh(x, shift).to(x.dtype)
    return y if mask is None else y * mask


class SwooshLinear(nn.Linear):
    """Swoosh, dropout whose mask is shared over time, linear; in one, to save memory."""

    def __init__(
        self, in_dim: int, out_dim: int, *, shift: float, scale: float, dropout: Scheduled = 0.0
    ) -> None:
        super().__init__(in_dim, out_dim)
        self.shift = shift
        self.dropout = dropout
        with torch.no_grad():
            self.weight.mul_(scale)
            self.bias.uniform_(-0.1 * scale, 0.1 * scale)

    def forward(self, x: Tensor, chance: Chance) -> Tensor:  # type: ignore[override]  # (B, T, C)
        mask = chance.dropout_mask((x.shape[0], 1, x.shape[2]), self.dropout, x)
        return _SwooshLinear.apply(x, self.weight, self.bias, mask, self.shift)


class _BiasNorm(torch.autograd.Function):
    """x exp(g) / rms(x - b), keeping nothing of x's size but x itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, log_scale: Tensor) -> Tensor:
        ctx.save_for_backward(x, bias, log_scale)
        _, scale, _ = _bias_norm_terms(x, bias, log_scale)
        return (x.float() * scale).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, bias, log_scale = ctx.saved_tensors
        shifted, scale, square = _bias_norm_terms(x, bias, log_scale)
        grad = grad.float()
        product = (grad * x.float()).sum(-1, keepdim=True) * scale  # d loss / d log(scale)
        inner = product * shifted / (square * x.shape[-1])
        grad_bias = inner.flatten(0, -2).sum(0)
        grad_x = (grad * scale - inner).to(x.dtype)
        return grad_x, grad_bias.to(bias.dtype), product.sum().to(log_scale.dtype)


def _bias_norm_terms(x: Tensor, bias: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    shifted = x.float() - bias.float()
    square = shifted.square().mean(-1, keepdim=True)
    return shifted, log_scale.float().exp() * square.rsqrt(), square


class BiasNorm(nn.Module):
    """x * exp(g) / rms(x - b) over channels, in float32 (the paper's eq. 3).

    The bias only takes part in the norm, x itself is not shifted; there is no epsilon. The scalar
    g is softly kept in [-1.5, 1.5].
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(1.0))
        self.bias = nn.Parameter(torch.empty(dim).normal_(std=1e-4))

    def forward(self, x: Tensor, chance: Chance) -> Tensor:
        return _BiasNorm.apply(x, self.bias, limit_value(self.log_scale, -1.5, 1.5, chance))


class Bypass(nn.Module):
    """before + (after - before) * c, with a learned c per channel (the paper's eq. 2).

    In training c is softly kept above a falling minimum, and some utterances are bypassed whole
    (c = 0) with ``skip_prob``.
    """

    def __init__(self, dim: int, skip_prob: Scheduled = 0.0) -> None:
        super().__init__()
        self.bypass_scale = nn.Parameter(torch.full((dim,), 0.5))
        self.skip_prob = skip_prob

    def forward(self, before: Tensor, after: Tensor, chance: Chance) -> Tensor:
        scale = limit_value(self.bypass_scale, BYPASS_MIN, 1.0, chance)
        return before + chance.skip_utterances((after - before) * scale, self.skip_prob)


class Downsample(nn.Module):
    """Every ``factor`` frames become their softmax-weighted sum.

    x (B, T, C) -> (B, ceil(T / factor), C). A last group that is not full is filled up with the
    utterance's own last frame, wherever padding begins; groups of padding alone become zero.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(factor))

    def forward(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:
        factor = len(self.bias)
        missing = num_groups(x.shape[1], factor) * factor - x.shape[1]
        if padding_mask is None:
            padding_mask = torch.zeros(1, x.shape[1], dtype=torch.bool, device=x.device)
        valid = F.pad(~padding_mask, (0, missing)).unflatten(1, (-1, factor))  # (B, K, F)
        is_last = valid & ~F.pad(valid, (0, 1))[..., 1:]
        weights = self.bias.softmax(0) * valid
        weights = weights + is_last * (1 - weights.sum(2, keepdim=True))
        groups = F.pad(x, (0, 0, 0, missing)).unflatten(1, (-1, factor))  # (B, K, F, C)
        return (groups * weights.unsqueeze(3).to(x.dtype)).sum(2)


def upsample(x: Tensor, factor: int, num_frames: int) -> Tensor:
    """Repeat each frame of x (B, K, C) ``factor`` times; cut to ``num_frames``."""
    batch, length, dim = x.shape
    return x.unsqueeze(2).expand(batch, length, factor, dim).flatten(1, 2).narrow(1, 0, num_frames)


def with_channels(x: Tensor, dim: int) -> Tensor:
    """Cut the last axis of x to ``dim`` channels, or fill it up with zeros."""
    return F.pad(x, (0, dim - x.shape[-1]))  # a negative padding cuts


def relative_positions(num_frames: int, dim: int, device: torch.device | str = "cpu") -> Tensor:
    """Compact encoding of the offsets -(T-1) ... T-1 between frames: (2T-1, dim) float32.

    Offsets are compressed by a logarithm and an arctangent, so that near ones are told apart
    exactly and far ones roughly; then cosines (even channels) and sines (odd ones) of 1 to dim/2
    times that angle. The last channel is 1.
    """
    offset = torch.arange(-(num_frames - 1), num_frames, dtype=torch.float32, device=device)
    root = math.sqrt(dim)
    compressed = root * offset.sign() * torch.log1p(offset.abs() / root)
    angle = torch.atan(2 * math.pi * compressed / dim)
    angles = angle[:, None] * torch.arange(1, dim // 2 + 1, device=device)
    encoding = torch.stack([angles.cos(), angles.sin()], 2).flatten(1)
    encoding[:, -1] = 1.0
    return encoding
