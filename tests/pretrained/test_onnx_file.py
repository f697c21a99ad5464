"""onnxruntime computes what we compute, for batches and lengths that were not traced."""

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from fairseq_budget.cli.export import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.lengths import padding_mask
from fairseq_budget.pretrained import onnx_file, save_pretrained
from fairseq_budget.pretrained.onnx_file import LEAST_SAMPLES, save_onnx
from tests.own_models import noise, random_checkpoint, random_recognizer

LARGE = {"layer_norm_first": True, "extractor_mode": "layer_norm", "normalize": True}


def computed(path, waves):
    """The outputs of a graph by their names, as tensors."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    source = pad_sequence(waves, batch_first=True)
    mask = padding_mask(torch.tensor([len(wave) for wave in waves]), source.shape[1])
    outputs = session.run(None, {"source": source.numpy(), "padding_mask": mask.numpy()})
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(torch.from_numpy, outputs), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, LARGE], ids=["base", "large"])
def test_any_batch_of_any_length_has_our_states(fields, tmp_path):
    pytest.importorskip("onnxscript")
    checkpoint = random_recognizer(**fields)
    save_pretrained(tmp_path / "ours", checkpoint)
    assert main([str(tmp_path / "ours"), str(tmp_path), "--to", "onnx"]) == 0
    encoder = checkpoint.build_encoder()
    for lengths in ((3000, 7000, 5000), (1600,), (LEAST_SAMPLES,), (9000, 400)):
        waves = noise(*lengths)
        found = computed(tmp_path / "model.onnx", waves)
        with torch.no_grad():
            ours = encoder(waves)
        states = torch.stack(ours.hidden_states)
        torch.testing.assert_close(found["hidden_states"], states, atol=1e-5, rtol=1e-5)
        assert torch.equal(found["frame_padding"], ours.padding_mask)
        weight, bias = list(checkpoint.state.values())[-2:]
        logits = ours.output @ weight.T + bias
        torch.testing.assert_close(found["logits"], logits, atol=1e-4, rtol=1e-5)


@pytest.mark.slow
def test_log_mel_frames_of_any_batch_are_a_graph_too(tmp_path):
    pytest.importorskip("onnxscript")
    checkpoint = random_checkpoint(frontend="logmel", encoder_layers=1)
    save_onnx(tmp_path, checkpoint)
    encoder = checkpoint.build_encoder()
    for lengths in ((3000, 7000, 5000), (LEAST_SAMPLES,), (9000, 400)):
        waves = noise(*lengths)
        with torch.no_grad():
            states = torch.stack(encoder(waves).hidden_states)
        found = computed(tmp_path / "model.onnx", waves)
        torch.testing.assert_close(found["hidden_states"], states, atol=1e-4, rtol=1e-4)


def test_what_is_no_graph_is_refused_and_nothing_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: name)
    for fields in ({"size": "zipformer_tiny"}, {"subsample": "cif"}):
        with pytest.raises(BudgetError, match="for ONNX expected a transformer whose frames"):
            save_onnx(tmp_path / "out", random_checkpoint(**fields))
    assert not (tmp_path / "out").exists()


def test_without_the_packages_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(BudgetError, match=r"pip install 'fairseq_budget\[onnx\]'"):
        save_onnx(tmp_path, random_checkpoint())
