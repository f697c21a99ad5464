"""Grouped convolutions in half precision, on CPUs whose kernels are right and on those that lie."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fairseq_budget.asr.predictor import StatelessPredictor
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.grouped_conv import HALF, cpu_is_right, grouped_conv1d
from fairseq_budget.nn.positions import positional_conv


class Lie(TorchDispatchMode):
    """Wrong values of the right size from grouped convolutions in half precision, as AMX's."""

    def __init__(self, *ops: str) -> None:
        super().__init__()
        self.ops = ops

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket._qualified_op_name.removeprefix("aten::")
        groups = args[9 if name in BACKWARD else 8] if name in self.ops else 1
        if groups == 1 or args[1].dtype not in HALF:
            return out
        wrong = [None if t is None else t.flip(-1) for t in (out if name in BACKWARD else [out])]
        return tuple(wrong) if name in BACKWARD else wrong[0]


FORWARD, BACKWARD = ("convolution",), ("convolution_backward",)


@pytest.fixture(autouse=True)
def an_untried_cpu():
    cpu_is_right.cache_clear()
    yield
    cpu_is_right.cache_clear()


@pytest.fixture(params=[(), FORWARD, BACKWARD], ids=["honest", "lying", "lying-backward"])
def cpu(request):
    with Lie(*request.param):
        yield


def run(module: torch.nn.Module, x: torch.Tensor, dtype=torch.float32) -> list[torch.Tensor]:
    """Output and gradients of input and parameters, in float64."""
    module.zero_grad()
    leaf = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype in HALF):
        out = module(leaf)
    weighting = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape)
    out.backward(weighting.to(out.dtype))
    return [t.double() for t in (out.detach(), leaf.grad, *[p.grad for p in module.parameters()])]


def assert_alike(found, expected, error=0.02):
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() < error * b.norm()


@pytest.mark.parametrize("channels", [4, 8, 12, 48])
def test_the_positional_convolution_in_bfloat16_is_that_of_float64(channels, cpu):
    torch.manual_seed(0)
    conv = positional_conv(4 * channels, 32, groups=4)
    x = torch.randn(2, 4 * channels, 24)
    exact = run(conv.double(), x.double())
    assert_alike(run(conv.float(), x, torch.bfloat16), exact)  # under autocast
    assert_alike(run(conv.bfloat16(), x.bfloat16()), exact)


@pytest.mark.parametrize("size", ["tiny", "zipformer_tiny"])
def test_an_encoder_in_bfloat16_is_close_to_float32(size, cpu):
    torch.manual_seed(0)
    encoder = SpeechEncoder(EncoderConfig(size=size)).eval()
    wave = 0.1 * torch.randn(2, 8000)
    exact = encoder(wave).last_hidden_state
    for half in (
        torch.autocast("cpu", torch.bfloat16)(encoder)(wave).last_hidden_state,
        encoder.bfloat16()(wave).last_hidden_state,
    ):
        assert_alike([half.float()], [exact], error=0.05)


def test_a_predictor_in_bfloat16_is_close_to_float32(cpu):
    torch.manual_seed(0)
    predictor = StatelessPredictor(20, 32)
    context = torch.randint(20, (3, 9))
    exact = predictor(context)
    assert_alike([predictor.bfloat16()(context).float()], [exact])


def test_a_shape_is_tried_once_and_only_in_half_precision():
    x, weight = torch.randn(1, 16, 9), torch.randn(16, 8, 3)
    grouped_conv1d(x, weight, None, groups=2)
    assert cpu_is_right.cache_info().misses == 0
    for _ in range(3):
        with torch.inference_mode():
            grouped_conv1d(x.bfloat16(), weight.bfloat16(), None, groups=2)
    assert cpu_is_right.cache_info().misses == 1


def test_the_trial_draws_nothing_from_the_callers_generator():
    state = torch.get_rng_state()
    cpu_is_right(torch.bfloat16, (16, 8, 3), 2)
    assert torch.equal(torch.get_rng_state(), state)
