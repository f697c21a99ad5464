"""Other tools' models used here, and ours where this package is not."""

import sys

import pytest
import torch

from fairseq_budget.cli.export import main
from fairseq_budget.cli.import_ import main as import_main
from fairseq_budget.labels.features import Feature
from fairseq_budget.nn.teacher import Teacher
from fairseq_budget.pretrained import load_pretrained, read_pretrained, save_pretrained
from fairseq_budget.pretrained.fairseq_checkpoint import read_teacher
from fairseq_budget.upstream.expert import UpstreamExpert
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


def of_transformers(folder):
    transformers = pytest.importorskip("transformers")
    config = transformers.HubertConfig(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=64,
        conv_dim=(32,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return ["--source", "transformers"]


def of_s3prl(path):
    distiller = pytest.importorskip("s3prl.upstream.distiller.model")
    config = {"encoder_layers": 2, "encoder_embed_dim": 48, "encoder_attention_heads": 3}
    config |= {"conv_pos_groups": 4, "encoder_ffn_embed_dim": 64}
    student = distiller.DistillerModel(distiller.DistillerConfig(config))
    torch.save({"Distiller": student.state_dict(), "Config": {"distiller": config}}, path)
    return ["--source", "s3prl"]


@pytest.mark.s3prl
@pytest.mark.fairseq
@pytest.mark.parametrize("source", [of_transformers, of_s3prl], ids=["transformers", "s3prl"])
def test_what_is_imported_teaches_labels_is_fine_tuned_and_an_upstream(source, tmp_path):
    pytest.importorskip("fairseq")
    from omegaconf import OmegaConf

    from fairseq_budget.models._recognizer import adopt_pretrained
    from fairseq_budget.models.ctc import BudgetCtcConfig

    options, ours = source(tmp_path / "x"), tmp_path / "ours"
    assert import_main([f"{tmp_path / 'x'}", f"{ours}", *options]) == 0
    [wave] = noise(4000)
    frames = (len(wave) - 80) // 320
    encoder = read_teacher(ours).build_encoder()
    assert Teacher(encoder, [1, 2], False)(wave[None], None).shape == (1, frames, 2, 48)
    [label_features] = Feature(ours, 2).build()([wave.numpy()])
    assert label_features.shape == (frames, 48)
    states = UpstreamExpert(str(ours))([wave])["hidden_states"]
    assert [state.shape[2] for state in states] == [48] * 3
    fields = OmegaConf.structured(BudgetCtcConfig(pretrained=str(ours), mask_prob=0.0))
    assert adopt_pretrained(fields).state.keys() == read_pretrained(ours).state.keys()
    assert (fields.encoder_layers, fields.encoder_embed_dim) == (2, 48)


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
