"""Convolutional relative positional embedding of wav2vec 2.0 and HuBERT."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fairseq_budget.nn.grouped_conv import grouped_conv1d


class WeightNormConv1d(nn.Module):
    """A grouped Conv1d whose kernel is ``g * v / |v|``, one norm per kernel position.

    Parameter names and shapes are those of fairseq's weight-normalised ``pos_conv.0``:
    ``weight_g`` (1, 1, K), ``weight_v`` (D, D/groups, K), ``bias`` (D,). The norm sums D * D/groups
    squares, so it is taken in float32 whatever the parameters' dtype.
    """

    def __init__(self, dim: int, kernel_size: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.padding = kernel_size // 2
        weight = torch.empty(dim, dim // groups, kernel_size)
        nn.init.normal_(weight, std=math.sqrt(4 / (kernel_size * dim)))
        self.weight_v = nn.Parameter(weight)
        self.weight_g = nn.Parameter(weight.norm(dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:  # (B, D, T)
        norm = torch.linalg.vector_norm(self.weight_v.float(), dim=(0, 1), keepdim=True)
        weight = self.weight_v * (self.weight_g / norm).to(self.weight_v.dtype)
        return grouped_conv1d(x, weight, self.bias, padding=self.padding, groups=self.groups)


class TrimEnd(nn.Module):
    """Drop the last frame, which an even kernel with symmetric padding adds."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.excess = 1 - kernel_size % 2

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : x.shape[-1] - self.excess]


def positional_conv(dim: int, kernel_size: int, groups: int) -> nn.Sequential:
    """Kernel ``kernel_size`` frames wide, same length out, GELU: (B, D, T) -> (B, D, T)."""
    return nn.Sequential(
        WeightNormConv1d(dim, kernel_size, groups), TrimEnd(kernel_size), nn.GELU()
    )
