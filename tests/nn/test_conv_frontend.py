"""The front-end's matrix products against torch's convolutions and norms."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_budget.frames import CONV_GEOMETRY, num_frames, num_frames_after
from fairseq_budget.nn.conv_frontend import ConvFrontend, num_steps, strided_conv

DIM = 6


def plain(frontend: ConvFrontend, wave: Tensor) -> Tensor:
    """One waveform (S,) by convolutions, in the dtype of the wave: (T, C)."""
    weights = {name: p.to(wave.dtype) for name, p in frontend.named_parameters()}
    x = wave[None, None]
    for i, (_, stride) in enumerate(CONV_GEOMETRY):
        own = f"conv_layers.{i}."
        x = F.conv1d(x, weights[f"{own}0.weight"], weights.get(f"{own}0.bias"), stride)
        if f"{own}2.weight" in weights:
            x = F.group_norm(x, DIM, weights[f"{own}2.weight"], weights[f"{own}2.bias"])
        if f"{own}2.1.weight" in weights:
            norm = [weights[f"{own}2.1.{name}"] for name in ("weight", "bias")]
            x = F.layer_norm(x.mT, [DIM], *norm).mT
        x = F.gelu(x)
    return x[0].T


def frontend_of(mode: str, bias: bool) -> ConvFrontend:
    torch.manual_seed(0)
    frontend = ConvFrontend(DIM, mode, bias)
    for parameter in frontend.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return frontend


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("mode", ["default", "layer_norm"])
@pytest.mark.parametrize("num_samples", [400, 401, 719, 720, 3333])
def test_it_is_seven_convolutions_whatever_is_left_over(mode, bias, num_samples):
    frontend = frontend_of(mode, bias)
    waves = torch.randn(2, num_samples)
    out = frontend(waves)
    assert out.shape == (2, num_frames(num_samples), DIM)
    for wave, own in zip(waves, out, strict=True):
        torch.testing.assert_close(own, plain(frontend, wave), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("mode", ["default", "layer_norm"])
def test_gradients_are_those_of_convolutions_in_float64(mode):
    frontend = frontend_of(mode, bias=True)
    lengths = [1000, 1700, 1500]
    waves = torch.zeros(3, 1700)
    for row, length in zip(waves, lengths, strict=True):
        row[:length] = torch.randn(length)
    weights = [torch.randn(num_frames(length), DIM) for length in lengths]
    out = frontend(waves, torch.tensor(lengths))
    loss = sum((own[: len(w)] * w).sum() for own, w in zip(out, weights, strict=True))
    gradients = torch.autograd.grad(loss, list(frontend.parameters()))
    exact = sum(
        (plain(frontend, wave[:length].double()) * weight).sum()
        for wave, length, weight in zip(waves, lengths, weights, strict=True)
    )
    for found, expected in zip(
        gradients, torch.autograd.grad(exact, list(frontend.parameters())), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_a_channel_that_is_a_small_difference_of_large_samples_is_normalised_exactly():
    frontend = frontend_of("default", bias=False)
    kernel = frontend.get_parameter("conv_layers.0.0.weight")
    kernel.data[0, 0] = torch.tensor([1.0, -1] + 8 * [0.0])  # a difference of neighbours
    time = torch.arange(8000, dtype=torch.float64) / 16000
    wave = (100 + torch.sin(2 * torch.pi * 50 * time)).float()  # an offset, and a low hum
    out = frontend(wave[None])[0]
    exact = plain(frontend, wave.double())
    # 100 is held to 1e-5 in float32, a hundredth of the difference
    torch.testing.assert_close(out.double(), exact, atol=0.02, rtol=0.02)


def test_utterances_never_hear_each_other():
    frontend = frontend_of("default", bias=True)
    waves, lengths = torch.randn(3, 1700), torch.tensor([1700, 1200, 1700])
    alone = frontend(waves[1:2, :1200])
    waves[1, 1200:] = 0
    waves[[0, 2]] = 1e4
    together = frontend(waves, lengths)[1, : num_frames(1200)]
    torch.testing.assert_close(together, alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), sorted(set(CONV_GEOMETRY[1:])))
def test_gradients_of_a_convolution_are_those_of_finite_differences(kernel, stride):
    torch.manual_seed(0)
    rows = torch.randn(4 * stride, 3, dtype=torch.float64, requires_grad=True)
    taps = torch.randn(kernel * 3, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *x: strided_conv(*x, stride), (rows, taps, bias))


@pytest.mark.parametrize("mode", ["default", "layer_norm"])
def test_half_precision_and_autocast_come_near_float32(mode):
    frontend = frontend_of(mode, bias=True)
    wave = torch.randn(2, 4000)
    exact = frontend(wave)
    with torch.autocast("cpu", torch.bfloat16):
        cast = frontend(wave)
    cast.float().sum().backward()
    assert all(parameter.grad is not None for parameter in frontend.parameters())
    for out in (cast, frontend.bfloat16()(wave)):
        assert out.dtype is torch.bfloat16
        assert (out.float() - exact).norm() < 0.03 * exact.norm()


@pytest.mark.parametrize("num_samples", [400, 16_000, 16_001])
def test_each_layer_computes_the_steps_of_whole_frames(num_samples):
    steps = num_steps(num_samples)
    assert steps[-1] * 320 >= num_samples
    for layer, (more, fewer) in enumerate(pairwise(steps), 2):
        assert more == fewer * CONV_GEOMETRY[layer - 1][1]
        assert fewer >= num_frames_after(num_samples, layer)
