"""The Zipformer's small parts against their formulas."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from fairseq_budget.nn.zipformer.chance import EVAL
from fairseq_budget.nn.zipformer.layers import (
    SWOOSH_L,
    SWOOSH_R,
    BiasNorm,
    Bypass,
    Downsample,
    SwooshLinear,
    relative_positions,
    swoosh,
    upsample,
    with_channels,
)
from tests.nn.zipformer.drawn import noise, training


@pytest.mark.parametrize(("shift", "offset"), [(SWOOSH_L, 0.035), (SWOOSH_R, 0.313261687)])
def test_swoosh_is_its_closed_form(shift, offset):
    for x in (-30.0, -1.0, 0.0, 2.5, 60.0):
        expected = math.log1p(math.exp(x - shift)) - 0.08 * x - offset
        assert float(swoosh(torch.tensor(x), shift)) == pytest.approx(expected, abs=1e-5)
    assert float(swoosh(torch.tensor(0.0), SWOOSH_R)) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("shift", [SWOOSH_L, SWOOSH_R])
def test_the_slope_of_swoosh_agrees_with_finite_differences(shift):
    layer = SwooshLinear(1, 1, shift=shift, scale=1.0)
    torch.nn.init.ones_(layer.weight)
    x = torch.linspace(-6, 9, 31)[None, :, None].requires_grad_()
    layer(x, EVAL).sum().backward()
    exact = x.detach().double()
    step = 1e-2
    formula = torch.nn.functional.softplus(exact + step - shift) - torch.nn.functional.softplus(
        exact - step - shift
    )
    torch.testing.assert_close(x.grad.double(), formula / (2 * step) - 0.08, atol=1e-5, rtol=1e-5)


def test_the_saving_linear_has_the_gradients_of_the_plain_one():
    layer = SwooshLinear(6, 4, shift=SWOOSH_L, scale=0.5, dropout=0.4)
    x = (noise(3, 5, 6) + 3).requires_grad_()
    y = layer(x, training())
    mask = training().dropout_mask((3, 1, 6), 0.4, x)
    plain = torch.nn.functional.linear(swoosh(x, SWOOSH_L) * mask, layer.weight, layer.bias)
    torch.testing.assert_close(y, plain)
    inputs = (x, layer.weight, layer.bias)
    weights = noise(3, 5, 4, seed=2)
    found = torch.autograd.grad((y * weights).sum(), inputs)
    expected = torch.autograd.grad((plain * weights).sum(), inputs)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_feed_forward_dropout_hides_the_same_channels_at_all_times():
    layer = SwooshLinear(64, 64, shift=SWOOSH_R, scale=1.0, dropout=0.5)
    torch.nn.init.eye_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    dropped = layer(noise(2, 7, 64) + 3, training()) == 0
    assert torch.equal(dropped.all(1), dropped.any(1))
    assert 0.3 < dropped.float().mean() < 0.7


def test_bias_norm_is_its_formula_with_exact_gradients():
    norm = BiasNorm(5)
    torch.nn.init.normal_(norm.bias)
    x = (noise(2, 3, 5) * 4).requires_grad_()
    inputs = (x, norm.bias, norm.log_scale)
    rms = (x - norm.bias).square().mean(-1, keepdim=True).sqrt()
    plain = x * norm.log_scale.exp() / rms
    y = norm(x, EVAL)
    torch.testing.assert_close(y, plain)
    weights = noise(2, 3, 5, seed=1)
    found = torch.autograd.grad((y * weights).sum(), inputs)
    expected = torch.autograd.grad((plain * weights).sum(), inputs)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_bias_norm_does_not_depend_on_loudness_without_its_bias():
    norm = BiasNorm(5)
    torch.nn.init.zeros_(norm.bias)
    x = noise(2, 3, 5)
    torch.testing.assert_close(norm(x, EVAL), norm(100 * x, EVAL))


def test_a_bypass_interpolates_per_channel():
    bypass = Bypass(3)
    bypass.bypass_scale.data = torch.tensor([0.0, 0.25, 1.0])
    before, after = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    assert bypass(before, after, EVAL)[0, 0].tolist() == [0.0, 0.25, 1.0]


def test_a_bypass_skips_whole_utterances_in_training():
    bypass = Bypass(3, skip_prob=0.5)
    y = bypass(torch.zeros(100, 2, 3), torch.ones(100, 2, 3), training())
    assert set(y.unique().tolist()) == {0.0, 0.5}
    assert ((y == 0).all(2).all(1) | (y == 0.5).all(2).all(1)).all()


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_downsampling_repeats_each_utterances_own_last_frame(frames, factor):
    down = Downsample(factor)
    torch.nn.init.normal_(down.bias)
    x = noise(2, frames, 3)
    short = (frames + 1) // 2
    mask = torch.zeros(2, frames, dtype=torch.bool)
    mask[1, short:] = True
    found = down(x.masked_fill(mask[..., None], 100.0), mask)
    weights = down.bias.softmax(0)
    for row, length in enumerate([frames, short]):
        for group in range(-(-length // factor)):
            taken = [min(group * factor + i, length - 1) for i in range(factor)]
            expected = sum(w * x[row, t] for w, t in zip(weights, taken, strict=True))
            torch.testing.assert_close(found[row, group], expected)
    torch.testing.assert_close(down(x, None)[0], found[0])
    assert found.shape == (2, -(-frames // factor), 3)


def test_upsampling_repeats_and_cuts():
    x = torch.arange(3.0)[None, :, None]
    assert upsample(x, 2, 5).flatten().tolist() == [0, 0, 1, 1, 2]


def test_channels_are_cut_or_filled_with_zeros():
    x = torch.ones(1, 1, 3)
    assert with_channels(x, 2).flatten().tolist() == [1, 1]
    assert with_channels(x, 4).flatten().tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("frames", [1, 2, 50])
def test_relative_positions_are_their_formula(frames):
    encoding = relative_positions(frames, 48)
    assert encoding.shape == (2 * frames - 1, 48)
    root = math.sqrt(48)
    for row, offset in enumerate(range(-(frames - 1), frames)):
        compressed = math.copysign(root * (math.log(abs(offset) + root) - math.log(root)), offset)
        angle = math.atan(2 * math.pi * compressed / 48)
        expected = [f(k * angle) for k in range(1, 25) for f in (math.cos, math.sin)]
        expected[-1] = 1.0
        assert encoding[row].tolist() == pytest.approx(expected, abs=1e-4)


def test_gradients_of_the_small_parts_pass_the_numeric_check():
    down = Downsample(4).double()
    mask = torch.tensor([[False] * 5 + [True] * 2])
    x = noise(1, 7, 2).double().requires_grad_()
    assert gradcheck(lambda x, bias: _downsampled(down, x, bias, mask), (x, down.bias))


def _downsampled(down, x, bias, mask):
    return torch.func.functional_call(down, {"bias": bias}, (x, mask))
