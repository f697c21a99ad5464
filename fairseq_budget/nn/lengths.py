"""Lengths and padding masks: the one place that knows the mask's polarity (True = padding)."""

from __future__ import annotations

import torch
from torch import Tensor


def padding_mask(lengths: Tensor, max_length: int) -> Tensor:
    """``lengths`` (B,) int -> (B, max_length) bool, True on padding."""
    return torch.arange(max_length, device=lengths.device) >= lengths.unsqueeze(1)


def num_groups(length: int, size: int) -> int:
    """Groups of ``size`` that hold ``length``, of which the last need not be full.

    Also of lengths that are traced: no division of a negative number, which ONNX rounds up.
    """
    return (length + size - 1) // size


def zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """Set the padded frames of ``x`` (B, T, ...) to zero; ``mask`` (B, T) is True on padding."""
    if mask is None:
        return x
    return x.masked_fill(mask.view(*mask.shape, *[1] * (x.dim() - 2)), 0)


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """x (B, T, D) at the rows ``index`` (B, N) of each of the batch -> (B, N, D)."""
    return x.gather(1, index.unsqueeze(2).expand(-1, -1, x.shape[2]))


def normalize_wave(wave: Tensor, num_samples: Tensor | None) -> Tensor:
    """Bring each waveform to zero mean and unit variance over its valid samples.

    wave (B, S) float32, num_samples (B,) or None (all valid). Padding stays zero. The variance is
    floored at 1e-5, as in fairseq's ``F.layer_norm(wave, wave.shape)``.
    """
    if num_samples is None:
        return torch.nn.functional.layer_norm(wave, wave.shape[-1:])
    mask = padding_mask(num_samples, wave.shape[1])
    count = num_samples.clamp(min=1).unsqueeze(1)
    centred = zero_padding(wave - zero_padding(wave, mask).sum(1, keepdim=True) / count, mask)
    variance = centred.square().sum(1, keepdim=True) / count
    return centred * torch.rsqrt(variance + 1e-5)
