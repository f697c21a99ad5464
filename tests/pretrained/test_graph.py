"""Graphs and their files compute what we compute, for batches and lengths that were not traced."""

import json
from functools import cache
from tempfile import TemporaryDirectory

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from fairseq_budget.asr.recognizer import Recognizer
from fairseq_budget.cli.export import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.lengths import padding_mask
from fairseq_budget.pretrained import graph, onnx_file, read_pretrained, save_pretrained
from fairseq_budget.pretrained.fairseq_checkpoint import import_fairseq, read_teacher
from fairseq_budget.pretrained.graph import hearing_of, save_torch, traced
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


def assert_same(found, ours, states_atol=1e-5):
    """By their names; logits are sums over all channels of states, and log-mel's are large."""
    assert found.keys() == ours.keys()
    for name, value in ours.items():
        atol = 1e-3 if name == "logits" else states_atol
        torch.testing.assert_close(found[name], value, atol=atol, rtol=1e-5)


@cache
def graph_of(name):
    """Our code and the graph in its file: inputs -> outputs by their names; and its symbols."""
    checkpoint = random_recognizer(**MODELS[name] | {"encoder_layers": 2})
    if (alphas := "encoder.subsampler.cif.proj.weight") in checkpoint.state:
        checkpoint.state[alphas] *= 50  # so that segments follow what is heard
    hearing, more = hearing_of(checkpoint), {"symbols": ""}
    with TemporaryDirectory() as folder:
        save_torch(folder, checkpoint)
        program = torch.export.load(f"{folder}/model.pt2", extra_files=more)
    return *(
        lambda *inputs, f=f: dict(zip(hearing.outputs, f(*inputs), strict=True))
        for f in (hearing, program.module())
    ), json.loads(more["symbols"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zipformer", "cif_upsampled", "logmel"])
def test_a_graph_in_its_file_is_for_batches_of_any_length_and_knows_its_letters(name):
    hearing, loaded, symbols = graph_of(name)
    for lengths in BATCHES + SHORT:
        inputs = padded(noise(*lengths))
        with torch.no_grad():
            assert_same(loaded(*inputs), hearing(*inputs))
    assert symbols == LETTERS.symbols


@pytest.mark.slow
def test_segments_of_a_graph_follow_what_it_hears():
    _, loaded, _ = graph_of("cif_upsampled")
    with torch.no_grad():
        first, second = loaded(*padded(noise(20000, 20000)))["lengths"]
    assert first != second


@pytest.mark.slow
def test_a_model_becomes_a_graph_as_often_as_it_is_asked_for_and_is_heard_in_between():
    hearing = hearing_of(random_recognizer(frontend="logmel", encoder_layers=1))
    inputs = padded(noise(3000, 2000))
    for _ in range(2):
        with torch.no_grad():
            assert torch.isfinite(traced(hearing).module()(*inputs)[0]).all()
            assert torch.isfinite(hearing(*inputs)[0]).all()


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


@pytest.fixture(scope="module")
def graph_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "model.pt2"
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(2),)), path)
    return path


@pytest.mark.parametrize("read", [read_pretrained, import_fairseq, read_teacher])
def test_where_a_checkpoint_is_expected_a_graph_is_told_what_to_give_instead(read, graph_file):
    with pytest.raises(BudgetError, match=r"model\.pt2 is a graph .*: give the checkpoint"):
        read(graph_file)


@pytest.mark.parametrize("tool", ["onnx", "torch"])
def test_given_segments_are_no_graph_and_nothing_is_written(tool, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: name)
    save_pretrained(tmp_path / "ours", random_checkpoint(subsample="segments"))
    assert main([f"{tmp_path / 'ours'}", f"{tmp_path / 'out'}", "--to", tool]) == 2
    assert "subsample=segments: the ends of its segments are given" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_torch_that_cannot_trace_it_says_so(tmp_path, monkeypatch):
    monkeypatch.delattr(graph.export_settings, "backed_size_oblivious")
    with pytest.raises(BudgetError, match="traces no graph for batches of all sizes: pip install"):
        save_torch(tmp_path, random_checkpoint())
