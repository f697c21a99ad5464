"""Memory in closed form: what autograd really holds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fairseq_budget.budget.flops import positional_macs
from fairseq_budget.budget.memory import activation_bytes, batch_bytes
from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.frames import CONV_GEOMETRY, num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder


def saved_bytes(config: EncoderConfig, seconds: float, dtype: torch.dtype) -> int:
    """Bytes of all storages that a forward pass keeps for the backward pass, parameters aside."""
    torch.manual_seed(0)
    encoder = SpeechEncoder(config).to(dtype).train()
    own = {parameter.untyped_storage().data_ptr() for parameter in encoder.parameters()}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = encoder(torch.randn(1, int(16_000 * seconds)))
        loss = output.last_hidden_state.square().mean() + output.feature_penalty[0]
    assert loss.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


def frontend_kernels(config: EncoderConfig, dtype: torch.dtype) -> int:
    """Bytes of one copy of the kernels behind the first."""
    dim = config.resolved().conv_dim
    return sum(kernel * dim * dim * dtype.itemsize for kernel, _ in CONV_GEOMETRY[1:])


DTYPES = {"fp32": torch.float32, "mixed": torch.bfloat16}  # slow on CPUs that only emulate it


@pytest.mark.parametrize(
    ("size", "seconds", "precision"),
    [("tiny", 2, "fp32"), ("slim_30", 3, "fp32"), ("slim", 3, "fp32"), ("tiny", 2, "mixed")],
)
def test_activations_are_what_autograd_holds(size, seconds, precision):
    without = EncoderConfig(size=size, dropout=0, attention_dropout=0, dropout_input=0,
                            encoder_layerdrop=0)  # fmt: skip
    held = saved_bytes(without, seconds, DTYPES[precision])
    kernels = positional_macs(without.resolved()) * {"fp32": 4, "mixed": 6}[precision]
    kernels += frontend_kernels(without, DTYPES[precision])
    planned = activation_bytes(without, 16_000 * seconds, precision=precision)
    # off: masks of dropout, statistics of norms, a float32 copy of the front-end's output
    assert planned + kernels == pytest.approx(held, rel=0.02)


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_activations_of_log_mel_frames_are_what_autograd_holds(precision):
    wide = EncoderConfig(size="tiny", frontend="logmel", conv_dim=4096, encoder_layers=1, dropout=0,
                         attention_dropout=0, dropout_input=0, encoder_layerdrop=0)  # fmt: skip
    held = saved_bytes(wide, 2, DTYPES[precision])
    planned = activation_bytes(wide, 32_000, precision=precision)
    if precision == "mixed":  # a float32 copy of the front-end's output, for the penalty
        planned += 4 * num_frames(32_000) * 4096
    assert planned == pytest.approx(held, rel=0.05)


@pytest.mark.parametrize(
    ("size", "seconds", "precision"),
    [
        ("zipformer_tiny", 3, "fp32"),
        ("zipformer_tiny", 3, "mixed"),
        ("zipformer_small", 2, "fp32"),
        pytest.param("zipformer_small", 12, "fp32", marks=pytest.mark.slow),
    ],
)
def test_activations_of_a_zipformer_are_what_autograd_holds(size, seconds, precision):
    config = EncoderConfig(size=size, dropout_input=0, balancers=False, whiten=False)
    held = saved_bytes(config, seconds, DTYPES[precision])
    planned = activation_bytes(config, 16_000 * seconds, precision=precision)
    kernels = frontend_kernels(config, DTYPES[precision])
    assert planned + kernels == pytest.approx(held, rel=0.03)


@pytest.mark.slow
def test_attention_weights_are_what_a_cpu_holds_besides():
    config = EncoderConfig(size="slim_30", dropout=0, dropout_input=0, encoder_layerdrop=0)
    without = saved_bytes(
        EncoderConfig(**{**vars(config), "attention_dropout": 0.0}), 6, torch.float32
    )
    extra = saved_bytes(config, 6, torch.float32) - without
    planned = [activation_bytes(config, 96_000, keeps_weights=kept) for kept in (False, True)]
    assert planned[1] - planned[0] == pytest.approx(extra, rel=0.02)


def test_memory_is_that_of_parameters_and_of_each_sequence():
    fixed = 16 * count_parameters("base", "wav2vec2").parameters
    one, two = (batch_bytes("base", "wav2vec2", 80_000, batch) for batch in (1, 2))
    assert two - one == one - fixed == activation_bytes(EncoderConfig(size="base"), 80_000)
    half = batch_bytes("base", "wav2vec2", 80_000, 1, precision="mixed")
    assert fixed < half < one
    assert batch_bytes("base", "wav2vec2", 80_000, 1, device="cpu") > one


def test_memory_of_15_s_is_a_few_times_that_of_1_s():
    """The paper reads about 4, 4 and 5 off its measurements at batches of 4, 8 and 12."""
    for batch in (4, 8, 12):
        long, short = (batch_bytes("base", "wav2vec2", s * 16_000, batch) for s in (15, 1))
        assert 2.5 < long / short < 6
