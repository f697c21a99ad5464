"""onnxruntime computes what we compute, for batches and lengths that were not traced."""

import json

import pytest
import torch

from fairseq_budget.asr.recognizer import Recognizer
from fairseq_budget.cli.export import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained import onnx_file, save_pretrained
from fairseq_budget.pretrained.graph import hearing_of
from fairseq_budget.pretrained.onnx_file import save_onnx
from fairseq_budget.text.wer import spell
from tests.own_models import LETTERS, noise, random_checkpoint, random_recognizer
from tests.pretrained.test_graph import BATCHES, MODELS, SHORT, assert_same, padded


def session_of(path):
    runtime = pytest.importorskip("onnxruntime")
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


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


def test_without_the_packages_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(BudgetError, match=r"pip install 'fairseq_budget\[onnx\]'"):
        save_onnx(tmp_path, random_checkpoint())
