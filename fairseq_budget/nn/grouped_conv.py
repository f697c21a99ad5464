"""Grouped convolutions over time; in half precision on a CPU only where its kernels are right.

On processors with AMX, oneDNN's bfloat16 kernels return noise for some numbers of channels in a
group (torch 2.13: 8 and 12), without an error and without a NaN. So each shape is tried once in a
process, and where that fails it is computed in float32.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv1d_input, conv1d_weight

HALF = (torch.bfloat16, torch.float16)
MAX_ERROR = 0.05  # relative; bfloat16's own is 0.004
NUM_FRAMES = 50  # of the trial


class GroupedConv1d(nn.Conv1d):
    """torch's, through ``grouped_conv1d``."""

    def forward(self, x: Tensor) -> Tensor:
        padding = int(self.padding[0])
        return grouped_conv1d(x, self.weight, self.bias, groups=self.groups, padding=padding)


def grouped_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, groups: int, padding: int = 0
) -> Tensor:
    """``F.conv1d``, also under autocast, but right; the result has the dtype that it would have."""
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    trusted = x.device.type != "cpu" or dtype not in HALF  # "meta" knows no autocast
    if trusted or cpu_is_right(dtype, tuple(weight.shape), groups):
        return F.conv1d(x, weight, bias, padding=padding, groups=groups)
    with torch.autocast("cpu", enabled=False):
        full = None if bias is None else bias.float()
        out = F.conv1d(x.float(), weight.float(), full, padding=padding, groups=groups)
    return out.to(dtype)


@cache
def cpu_is_right(dtype: torch.dtype, shape: tuple[int, ...], groups: int) -> bool:
    """Whether output and gradients for weights of ``shape`` are float32's; tried on noise."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(2, shape[1] * groups, NUM_FRAMES + shape[2] - 1), shape, (2, shape[0], NUM_FRAMES)]
    x, weight, cotangent = (torch.randn(size, generator=generator).to(dtype) for size in sizes)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        tried = _output_and_gradients(x, weight, cotangent, groups)
        exact = _output_and_gradients(x.float(), weight.float(), cotangent.float(), groups)
    pairs = zip(tried, exact, strict=True)
    return all(bool((a.float() - b).norm() < MAX_ERROR * b.norm()) for a, b in pairs)


def _output_and_gradients(
    x: Tensor, weight: Tensor, cotangent: Tensor, groups: int
) -> list[Tensor]:
    return [
        F.conv1d(x, weight, groups=groups),
        conv1d_input(x.shape, weight, cotangent, groups=groups),
        conv1d_weight(x, weight.shape, cotangent, groups=groups),
    ]
