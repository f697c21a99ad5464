"""What ``budget-export --to`` writes loads where this package is not, and hears the same."""

import sys

import pytest
import torch

from fairseq_budget.cli.export import main
from fairseq_budget.pretrained import load_pretrained, save_pretrained
from tests.conftest import run
from tests.own_models import noise, random_checkpoint, random_recognizer

LARGE = {"layer_norm_first": True, "extractor_mode": "layer_norm"}
LOAD = """
import sys
from pathlib import Path

sys.modules["fairseq_budget"] = None  # whoever imports it fails
import torch
from fairseq import checkpoint_utils
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForCTC, AutoProcessor

def by_transformers(folder):
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    heard = extractor(wave[0].numpy(), sampling_rate=16000, return_tensors="pt")
    return AutoModel.from_pretrained(folder).eval()(**heard).last_hidden_state

def by_fairseq(folder):
    path = str(folder / "model.pt")
    [model], _, task = checkpoint_utils.load_model_ensemble_and_task([path])
    found = model.eval().extract_features(wave, padding_mask=None, mask=False)
    return found["x"] if isinstance(found, dict) else found[0]

folder = Path(sys.argv[1])
wave = torch.load(folder / "wave.pt")
with torch.no_grad():
    found = {p.name: by_transformers(p) for p in folder.glob("*_transformers")}
    found |= {p.name: by_fairseq(p) for p in folder.glob("*_fairseq")}
AutoModelForCTC.from_pretrained(folder / "ctc_transformers")
tokenizer = AutoProcessor.from_pretrained(folder / "ctc_transformers").tokenizer
assert tokenizer.decode([6, 0, 7]) == "TA"
torch.save(found, folder / "found.pt")
"""


@pytest.mark.s3prl
@pytest.mark.fairseq
def test_exports_load_where_this_package_is_not(tmp_path):
    pytest.importorskip("fairseq")
    pytest.importorskip("transformers")
    models = {
        "tera": random_checkpoint("budget_tera"),
        "large": random_checkpoint("budget_hubert", **LARGE),
        "ctc": random_recognizer(),
    }
    wave = noise(4000)[0][None]
    torch.save(wave, tmp_path / "wave.pt")
    expected = {}
    for name, checkpoint in models.items():
        save_pretrained(tmp_path / name, checkpoint)
        for tool in ("transformers", "fairseq"):
            main([f"{tmp_path / name}", f"{tmp_path / name}_{tool}", "--to", tool])
            with torch.no_grad():
                out = load_pretrained(tmp_path / name)(wave).last_hidden_state
            expected[f"{name}_{tool}"] = out
    run(sys.executable, "-c", LOAD, tmp_path, env={"HF_HUB_OFFLINE": "1"})
    found = torch.load(tmp_path / "found.pt")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
