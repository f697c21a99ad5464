"""Graphs compute what we compute, for batches and lengths that were not traced.

They are torch's as it traces them, and then ONNX's, where its packages are.
"""

import json
from functools import cache

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from fairseq_budget.asr.recognizer import Recognizer
from fairseq_budget.cli.export import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.lengths import padding_mask
from fairseq_budget.pretrained import onnx_file, save_pretrained
from fairseq_budget.pretrained.onnx_file import hearing_of, save_onnx, traced
from fairseq_budget.text.wer import spell
from tests.own_models import LETTERS, noise, random_checkpoint, random_recognizer

MODELS = {
    "base": {},
    "large": {"layer_norm_first": True, "extractor_mode": "layer_norm", "normalize": True},
    "zipformer": {"size": "zipformer_tiny", "encoder_layers": 3},
    "average": {"subsample": "average", "subsample_rate": 3, "upsample": True},
    "conv": {"subsample": "conv", "subsample_rate": 3, "upsample": True},
    "cif": {"subsample": "cif", "subsample_rate": 2.5},
    "cif_upsampled": {"subsample": "cif", "subsample_rate": 2.5, "upsample": True},
    "logmel": {"frontend": "logmel"},
}
BATCHES = ((3000, 7000, 5000), (9000, 400), (9321, 4567, 13001))
SHORT = ((1600,), (400,), (719,), (400, 400))  # of one utterance, of one frame


def padded(waves):
    """(B, S), and its padding mask."""
    source = pad_sequence(waves, batch_first=True)
    return source, padding_mask(torch.tensor([len(wave) for wave in waves]), source.shape[1])


def session_of(path):
    runtime = pytest.importorskip("onnxruntime")
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def assert_same(found, ours, states_atol=1e-5):
    """Tensors by their names; logits are sums over all channels of states."""
    assert found.keys() == ours.keys()
    for name, value in ours.items():
        atol = 1e-4 if name == "logits" else states_atol
        torch.testing.assert_close(found[name], value, atol=atol, rtol=1e-5)


@cache
def graph_of(name):
    """Our code and the graph that is traced of it: inputs -> outputs by their names."""
    checkpoint = random_recognizer(**MODELS[name] | {"encoder_layers": 2})
    if (alphas := "encoder.subsampler.cif.proj.weight") in checkpoint.state:
        checkpoint.state[alphas] *= 50  # so that segments follow what is heard
    hearing = hearing_of(checkpoint)
    graph = traced(hearing).module()
    return tuple(
        lambda *inputs, f=f: dict(zip(hearing.outputs, f(*inputs), strict=True))
        for f in (hearing, graph)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zipformer", "cif_upsampled", "logmel"])
def test_a_traced_graph_is_for_batches_of_any_length(name):
    hearing, graph = graph_of(name)
    for lengths in BATCHES:
        inputs = padded(noise(*lengths))
        with torch.no_grad():
            assert_same(graph(*inputs), hearing(*inputs))


@pytest.mark.slow
def test_segments_of_a_traced_graph_follow_what_it_hears():
    _, graph = graph_of("cif_upsampled")
    with torch.no_grad():
        first, second = graph(*padded(noise(20000, 20000)))["lengths"]
    assert first != second


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_hears_what_we_hear(name, tmp_path):
    pytest.importorskip("onnxscript")
    checkpoint = random_recognizer(**MODELS[name])
    save_pretrained(tmp_path / "ours", checkpoint)
    assert main([str(tmp_path / "ours"), str(tmp_path), "--to", "onnx"]) == 0
    session, hearing = session_of(tmp_path / "model.onnx"), hearing_of(checkpoint)
    assert [output.name for output in session.get_outputs()] == hearing.outputs
    for lengths in BATCHES + SHORT:
        source, mask = padded(noise(*lengths))
        outputs = session.run(None, {"source": source.numpy(), "padding_mask": mask.numpy()})
        with torch.no_grad():
            ours = dict(zip(hearing.outputs, hearing(source, mask), strict=True))
        found = dict(zip(hearing.outputs, map(torch.from_numpy, outputs), strict=True))
        # small powers, of which logarithms are taken, depend on the Fourier transform's rounding
        assert_same(found, ours, states_atol=3e-4 if name == "logmel" else 1e-5)


@pytest.mark.slow
def test_one_file_spells_what_the_recogniser_hears(tmp_path):
    pytest.importorskip("onnxscript")
    save_onnx(tmp_path, random_recognizer())
    session = session_of(tmp_path / "model.onnx")
    symbols = json.loads(session.get_modelmeta().custom_metadata_map["symbols"])
    source, mask = padded(noise(30000, 20000))
    [ids] = session.run(["ids"], {"source": source.numpy(), "padding_mask": mask.numpy()})
    texts = [spell(symbols[i] for i in row if i >= 0) for row in ids]
    assert symbols == LETTERS.symbols
    assert texts == Recognizer(random_recognizer())(source, torch.tensor([30000, 20000]))


def test_a_graph_has_the_states_the_segments_and_the_letters_of_eager_code():
    checkpoint = random_recognizer(subsample="average", subsample_rate=3, upsample=True)
    hearing, inputs = hearing_of(checkpoint), padded(noise(9000, 3000))
    with torch.no_grad():
        found = dict(zip(hearing.outputs, hearing(*inputs), strict=True))
        ours = checkpoint.build_encoder()(noise(9000, 3000))
    assert torch.equal(found["hidden_states"], torch.stack(ours.hidden_states))
    assert torch.equal(found["frame_padding"], ours.padding_mask)
    assert found["lengths"].tolist() == [9, 3]
    assert torch.equal(found["output"], ours.output)
    assert found["output_lengths"].tolist() == [27, 9]
    letters = [spell(LETTERS.symbols[i] for i in row if i >= 0) for row in found["ids"].tolist()]
    assert letters == Recognizer(checkpoint)(inputs[0], torch.tensor([9000, 3000]))
    assert any(letters)


def test_given_segments_are_no_graph_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: name)
    with pytest.raises(BudgetError, match="subsample=segments: the ends of its segments are given"):
        save_onnx(tmp_path / "out", random_checkpoint(subsample="segments"))
    assert not (tmp_path / "out").exists()


def test_without_the_packages_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(BudgetError, match=r"pip install 'fairseq_budget\[onnx\]'"):
        save_onnx(tmp_path, random_checkpoint())
