"""The convolutional front-end: waveform to 50 Hz features (wav2vec 2.0, section 2).

Channels come last, and time steps are rows: (B, T, C). No layer's stride exceeds its kernel, and a
kernel is at most two strides wide, so a convolution is one or two matrix products on views of its
input, without a copy, as long as the rows of all utterances lie behind one another. So every layer
keeps the steps of whole frames (320 samples): the last ones reach into the next utterance, are
never a part of a frame, and are cut off at the end.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import CONV_GEOMETRY, FRAME_SHIFT, num_frames, num_frames_after
from fairseq_budget.nn.lengths import num_groups, padding_mask, zero_padding


class ConvLayer(nn.Sequential):
    """Parameters of Conv1d, dropout, norm or nothing, GELU; positions are fairseq's.

    fairseq's layer-norm mode nests the norm between two transpositions, so its key is ``2.1``.
    """

    def __init__(
        self, channels_in: int, channels: int, kernel: int, stride: int, bias: bool, norm: str
    ) -> None:
        conv = nn.Conv1d(channels_in, channels, kernel, stride, bias=bias)
        nn.init.kaiming_normal_(conv.weight)
        layers: list[nn.Module] = [conv, nn.Identity()]
        if norm == "time":
            layers.append(nn.GroupNorm(channels, channels))
        elif norm == "channel":
            layers.append(nn.Sequential(nn.Identity(), nn.LayerNorm(channels)))
        super().__init__(*layers, nn.GELU())
        self.stride, self.norm = stride, norm

    def forward(self, x: Tensor) -> Tensor:
        """Rows x (N * stride, C_in) -> (N, C); not of a layer with a norm over time."""
        x = strided_conv(x, self.taps, self.bias, self.stride)
        return F.gelu(self.channel_norm(x) if self.norm == "channel" else x)

    @property
    def taps(self) -> Tensor:
        """The kernel as a matrix (K * C_in, C), in the order in which steps lie in memory."""
        return self.get_parameter("0.weight").permute(2, 1, 0).flatten(0, 1)

    @property
    def bias(self) -> Tensor | None:
        return cast(nn.Conv1d, self[0]).bias

    def channel_norm(self, x: Tensor) -> Tensor:
        """LayerNorm over channels (..., C) in float32; steps never see each other."""
        norm = cast(nn.LayerNorm, cast(nn.Sequential, self[2])[1])
        weight, bias = norm.weight.float(), norm.bias.float()
        return F.layer_norm(x.float(), norm.normalized_shape, weight, bias, norm.eps).to(x.dtype)


class ConvFrontend(nn.Module):
    """Seven convolutions, 400 samples wide and 320 apart: (B, S) -> (B, T, C).

    mode ``default``: one norm over time after the first layer (half the activations that need
    normalising, so less memory); ``layer_norm``: one over channels after every layer.
    Padding: outputs of frames that lie wholly inside an utterance never depend on it.
    """

    def __init__(self, dim: int, mode: str, bias: bool) -> None:
        super().__init__()
        if mode not in ("default", "layer_norm"):
            raise BudgetError(f"extractor_mode {mode!r}: expected 'default' or 'layer_norm'")
        self.mode = mode
        norms = ["channel"] * 7 if mode == "layer_norm" else ["time"] + [""] * 6
        self.conv_layers = nn.ModuleList(
            ConvLayer(dim if i else 1, dim, kernel, stride, bias, norms[i])
            for i, (kernel, stride) in enumerate(CONV_GEOMETRY)
        )

    def forward(self, wave: Tensor, num_samples: Tensor | None = None) -> Tensor:
        first, *others = cast(list[ConvLayer], list(self.conv_layers))
        taps, windows = first.taps, first_windows(wave)
        if self.mode == "default":
            steps = num_frames_after(wave.shape[1] if num_samples is None else num_samples, 1)
            x = normalized_conv(windows, steps, taps, first.bias, cast(nn.GroupNorm, first[2]))
        else:
            x = first.channel_norm(F.linear(windows.to(taps.dtype), taps.mT, first.bias))
        batch, x = wave.shape[0], F.gelu(x).flatten(0, 1)
        for layer in others:
            x = layer(x)
        return x.unflatten(0, (batch, -1)).narrow(1, 0, num_frames(wave.shape[1]))


def num_steps(num_samples: int) -> list[int]:
    """Steps that each layer computes for an utterance, those of whole frames."""
    frames = num_groups(num_samples, FRAME_SHIFT)
    strides = [stride for _, stride in CONV_GEOMETRY]
    return [frames * math.prod(strides[layer:]) for layer in range(1, len(strides) + 1)]


def first_windows(wave: Tensor) -> Tensor:
    """What the first layer's steps see of a wave (B, S): (B, steps of whole frames, kernel)."""
    kernel, stride = CONV_GEOMETRY[0]
    num_samples = wave.shape[1]
    whole = num_groups(num_samples, FRAME_SHIFT) * FRAME_SHIFT
    return F.pad(wave, (0, whole - num_samples + kernel - stride)).unfold(1, kernel, stride)


def normalized_conv(
    windows: Tensor, num_steps: Tensor | int, taps: Tensor, bias: Tensor | None, norm: nn.GroupNorm
) -> Tensor:
    """A convolution and its norm over time, one group a channel: (B, T, K) -> (B, T, C).

    Statistics are of the first ``num_steps`` (B,) steps of each utterance. A channel is linear in
    its windows, so its mean and variance follow from theirs, which are K numbers and K x K: the
    norm costs a kernel for each utterance, and no pass over the output. In float64, because some
    channels are small differences of large samples. Steps beyond come out as the norm's bias.

    Differs: fairseq takes the statistics over padding too, so there an utterance depends on its
    batch mates.
    """
    exact = windows.double()
    if isinstance(num_steps, Tensor):
        lengths = num_steps
    else:  # filled on the device: a number that is copied to it waits for all before it
        lengths = torch.full((windows.shape[0],), num_steps, device=windows.device)
    padded = padding_mask(lengths, windows.shape[1])
    count = lengths.clamp(min=1).view(-1, 1, 1)
    mean = zero_padding(exact, padded).sum(1, keepdim=True) / count
    centred = zero_padding(exact - mean, padded)
    covariance = centred.mT @ centred / count  # (B, K, K)
    kernel = taps.double()
    variance = (kernel * (covariance @ kernel)).sum(1, keepdim=True)  # (B, 1, C)
    kernel = kernel * (torch.rsqrt(variance + norm.eps) * norm.weight)
    shift = norm.bias if bias is None else norm.bias + 0 * bias  # which the norm takes away
    return torch.baddbmm(shift.to(taps.dtype), centred.to(taps.dtype), kernel.to(taps.dtype))


def strided_conv(x: Tensor, taps: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Convolve rows x (N * stride, C_in) with taps (K * C_in, C), K <= 2 * stride: (N, C).

    Step n sees the rows from ``n * stride`` on; what lies behind the last row counts as zero.
    """
    x = _StridedConv.apply(x.unflatten(0, (-1, stride)).flatten(1), taps.to(x.dtype))
    return x if bias is None else x + bias.to(x.dtype)


class _StridedConv(torch.autograd.Function):
    """Steps (N, stride * C_in): the first taps see a step, the others begin with the next one."""

    @staticmethod
    def forward(ctx: Any, steps: Tensor, taps: Tensor) -> Tensor:
        ctx.save_for_backward(steps, taps)
        width = steps.shape[1]
        out = steps @ taps[:width]
        over = taps[width:]
        if len(over):
            out[:-1].addmm_(steps[1:, : len(over)], over)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        steps, taps = ctx.saved_tensors
        width = steps.shape[1]
        over = taps[width:]
        grad_steps, grad_taps = None, torch.empty_like(taps)
        grad_taps[:width].addmm_(steps.t(), grad, beta=0)
        if len(over):
            grad_taps[width:].addmm_(steps[1:, : len(over)].t(), grad[:-1], beta=0)
        if ctx.needs_input_grad[0]:
            grad_steps = grad @ taps[:width].t()
            if len(over):
                grad_steps[1:, : len(over)].addmm_(grad[:-1], over.t())
        return grad_steps, grad_taps
