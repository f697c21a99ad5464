"""Dropout. On a CPU it draws 16 random bits for each value; torch draws and compares floats."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

LEVELS = 1 << 16  # a probability is rounded to a multiple of their inverse


def dropout(x: Tensor, prob: float, training: bool) -> Tensor:
    """Zero values of ``x`` with probability ``prob`` and rescale the others to the same mean.

    From torch's default generator of the device, which fairseq seeds anew for each update.
    """
    if x.device.type != "cpu" or not training or not 0 < prob < 1:
        return F.dropout(x, prob, training)
    kept: Tensor = _Kept.apply(x, round(prob * LEVELS))
    return kept


class _Kept(torch.autograd.Function):
    """Drops ``num_dropped`` of LEVELS values."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, num_dropped: int) -> Tensor:
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        keep = bits.view(torch.int16)[: x.numel()].view(x.shape) >= num_dropped - LEVELS // 2
        ctx.save_for_backward(keep)
        ctx.scale = LEVELS / (LEVELS - num_dropped)
        return torch.where(keep, x, 0).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return torch.where(keep, grad, 0).mul_(ctx.scale), None
