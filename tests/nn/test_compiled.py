"""Compiled parts: the same numbers, few graphs, no change of names."""

import copy

import pytest
import torch

from fairseq_budget.nn.compiled import as_written, compile_parts, parts
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder

pytestmark = pytest.mark.filterwarnings("ignore::")  # torch's compiler calls what torch warns of

NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "dropout_input": 0.0}
BATCHES = [(16000, 12000), (9000, 8000), (20000, 18000, 16400), (16000, 16000), (24000, 24000)]


def encoder(**fields) -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(EncoderConfig(size="tiny", **{"encoder_layers": 3, **fields}))


def update(model: SpeechEncoder, lengths: tuple, seed: int = 0) -> list[torch.Tensor]:
    """States and gradients of a batch, which skips layers by the seed."""
    torch.manual_seed(seed)
    wave = 0.1 * torch.randn(len(lengths), max(lengths))
    num_samples = torch.tensor(lengths) if min(lengths) < max(lengths) else None
    skipped = torch.Generator().manual_seed(seed)
    state = model(wave, num_samples, layer_generator=skipped).last_hidden_state
    model.zero_grad()
    (state * torch.randn(state.shape)).sum().backward()
    return [state, *(p.grad for p in model.parameters() if p.grad is not None)]


def assert_alike(model: SpeechEncoder, reference: SpeechEncoder, lengths: tuple, seed=0, **close):
    for found, expected in zip(
        update(model, lengths, seed), update(reference, lengths, seed), strict=True
    ):
        torch.testing.assert_close(found, expected, **close)


def num_graphs() -> int:
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"]


@pytest.mark.slow
def test_layers_share_their_graphs_whatever_is_skipped_and_however_long_a_batch_is():
    """fullgraph: without dropout, as on a GPU with it, nothing breaks a part in two."""
    model = encoder(encoder_layerdrop=0.4, **NO_DROPOUT)
    reference = copy.deepcopy(model)
    compile_parts(model, backend="aot_eager", fullgraph=True)
    before = num_graphs()
    for lengths in (BATCHES[0], BATCHES[-1]):  # padded, and not
        assert_alike(model, reference, lengths)
    warm = num_graphs()
    assert warm - before <= 8  # three of convolutions, of positions, of layers with a mask or not
    for seed, lengths in enumerate(BATCHES):
        assert_alike(model, reference, lengths, seed)
    assert num_graphs() == warm


@pytest.mark.slow
def test_what_is_dropped_is_what_is_dropped_otherwise():
    model = encoder(encoder_layers=1, dropout=0.3, attention_dropout=0.3)
    reference = copy.deepcopy(model)
    for layer in model.encoder.layers:
        layer.compile(backend="eager", dynamic=True)
    assert_alike(model, reference, BATCHES[0])


def test_names_stay_and_copies_are_not_compiled():
    model = encoder()
    names = list(model.state_dict())
    compile_parts(model, backend="eager")
    assert list(model.state_dict()) == names
    assert all(part._compiled_call_impl is not None for part in parts(model))
    assert all(part._compiled_call_impl is None for part in parts(copy.deepcopy(model)))


def test_of_a_zipformer_the_front_end_is_compiled():
    model = SpeechEncoder(EncoderConfig(size="zipformer_tiny"))
    assert list(parts(model)) == list(model.feature_extractor.conv_layers)[1:]


def test_of_log_mel_frames_the_layers_alone_are_compiled():
    model = encoder(frontend="logmel")
    assert list(parts(model)) == [model.encoder.pos_conv, *model.encoder.layers]


def test_modules_inside_a_graph_are_watched_as_written():
    model, seen = encoder(), []
    compile_parts(model, backend="eager")
    model.encoder.layers[0].fc1.register_forward_hook(lambda *_: seen.append("fc1"))
    compiled = [part._compiled_call_impl for part in parts(model)]
    with as_written(model):
        assert all(part._compiled_call_impl is None for part in parts(model))
        update(model, BATCHES[0])
    assert seen == ["fc1"]
    assert [part._compiled_call_impl for part in parts(model)] == compiled
