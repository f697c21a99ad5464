"""fairseq opens finished models of every kind, as its own tools do, from any folder."""

import numpy as np
import pytest
import torch

from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.column_kinds import CENTROIDS_KEY, info_path
from fairseq_budget.corpus.labels import LabelInfo, write_info
from fairseq_budget.corpus.labels import write_dictionary as write_cluster_dictionary
from fairseq_budget.corpus.packing import pack_split
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.symbols import write_dictionary
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained, read_pretrained, save_pretrained
from tests.synthetic import write_tone_corpus

pytestmark = pytest.mark.fairseq

KINDS = {
    "tera": [],
    "zipformer_tera": ["model.size=zipformer_tiny"],
    "hubert": ["model.num_classes=24"],
    "wav2vec2": [],
    "distilhubert": ["model.teacher=teacher", "model.teacher_layers=[1,2]"],
    "ctc": ["model.pretrained=teacher"],
    "transducer": ["model.pretrained=teacher", "task.labels=ltr"],
}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A corpus with transcripts, in a folder that is the working one; a teacher beside it."""
    write_tone_corpus(tmp_path, 3).write(tmp_path / "data/valid.tsv")
    rows = ["b | a |", "a |", "b b |"]
    (tmp_path / "data/valid.ltr").write_text("\n".join(rows) + "\n")
    write_dictionary(tmp_path / "data", "ltr", rows)
    config = EncoderConfig(size="tiny", encoder_layers=2)
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(config).state_dict().items()}
    save_pretrained(tmp_path / "teacher", Pretrained("budget_hubert", config, {}, state))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def save_model(kind: str, path, *overrides: str):
    """A model with fresh weights in the file that fairseq's trainer writes; returns the model."""
    from fairseq.tasks import setup_task
    from omegaconf import OmegaConf

    from tests.examples.test_presets import compose

    preset = f"budget_{kind.removeprefix('zipformer_')}_demo"
    size = [] if "zipformer" in kind else ["model.size=tiny", "model.encoder_layers=2"]
    cfg = compose(preset, "task.data=data", *size, *KINDS[kind], *overrides)
    task = setup_task(cfg.task)
    model = task.build_model(cfg.model).eval()
    checkpoint = {
        "args": None,
        "cfg": OmegaConf.to_container(cfg, resolve=True, enum_to_str=True),
        "model": model.state_dict(),
        "criterion": None,
        "optimizer_history": [{"num_updates": 7, "lr_scheduler_state": {}}],
        "task_state": task.state_dict(),
        "extra_state": {"train_iterator": {"epoch": 1}},
        "last_optimizer_state": {},
    }
    torch.save(checkpoint, path)
    return model


def opened(path):
    from fairseq.checkpoint_utils import load_model_ensemble_and_task

    return load_model_ensemble_and_task([str(path)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_model_opens_without_the_folders_of_its_training(data, tmp_path, kind):
    model = save_model(kind, tmp_path / "model.pt")
    for folder in ("data", "teacher"):
        (tmp_path / folder).rename(tmp_path / f"no_{folder}")
    (found,), cfg, _ = opened(tmp_path / "model.pt")
    assert found.num_updates == 7
    assert str(cfg.model._name) == read_pretrained(tmp_path / "model.pt").model
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value)
    wave = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 8000)).astype(np.float32))
    outputs = [m.encoder.eval()(wave).output for m in (model, found)]
    torch.testing.assert_close(*outputs)


def loss_of(path, manifest) -> dict:
    from fairseq_budget.tasks._evaluation import evaluate

    return evaluate(path, manifest, max_tokens=100_000, device="cpu")


@pytest.mark.parametrize("kind", ["tera", "distilhubert", "ctc", "transducer"])
def test_a_checkpoint_and_its_export_have_the_same_loss_on_another_manifest(data, tmp_path, kind):
    save_model(kind, tmp_path / "model.pt", "task.min_sample_size=0")
    save_pretrained(tmp_path / "exported", read_pretrained(tmp_path / "model.pt"))
    other = tmp_path / "moved"
    data.rename(other)
    (other / "dict.ltr.txt").unlink(missing_ok=True)
    first, second = (loss_of(tmp_path / n, other / "valid.tsv") for n in ("model.pt", "exported"))
    assert first == second
    assert np.isfinite(first["loss"])
    assert ("wer" in first) == (kind in ("ctc", "transducer"))


def test_two_label_sets_are_learned_by_a_head_each_and_packed_exported_and_evaluated(
    data, tmp_path
):
    write_labels(data, "km", 5)
    write_labels(data, "km2", 9)
    model = save_model("hubert", tmp_path / "model.pt", "task.labels=[km,km2]",
                       "model.num_classes=null")  # fmt: skip
    assert model.head.num_classes == [9, 13]
    save_pretrained(tmp_path / "exported", read_pretrained(tmp_path / "model.pt"))
    plain = [loss_of(tmp_path / n, data / "valid.tsv") for n in ("model.pt", "exported")]
    pack_split(data / "valid.tsv", progress=False)
    assert plain == [loss_of(tmp_path / "exported", data / "valid.tsv")] * 2
    assert np.isfinite(plain[0]["masked_prediction"])
    info_path(data, "km2").write_text(info_path(data, "km").read_text())
    with pytest.raises(BudgetError, match=r"learned 9 clusters, but the labels km2 in .* have 5"):
        loss_of(tmp_path / "model.pt", data / "valid.tsv")


def write_labels(data, name: str, num_clusters: int) -> None:
    sizes = read_text(data / "valid.tsv").sizes
    lines = [" ".join(str(i % num_clusters) for i in range(size // 320)) for size in sizes]
    write_column(data / "valid.tsv", name, lines, 50, more={CENTROIDS_KEY: name})
    write_info(data, LabelInfo(50, num_clusters, {"kind": "mfcc"}, name), name)
    write_cluster_dictionary(data, num_clusters, name)


def test_a_student_without_its_teacher_has_no_loss(data, tmp_path):
    save_model("distilhubert", tmp_path / "model.pt")
    (tmp_path / "teacher").rename(tmp_path / "gone")
    with pytest.raises(BudgetError, match="there is no loss without it"):
        loss_of(tmp_path / "model.pt", data / "valid.tsv")


def test_what_has_no_loss_on_a_manifest_says_why(data, tmp_path):
    with pytest.raises(BudgetError, match="does not say by which criterion"):
        loss_of(tmp_path / "teacher", data / "valid.tsv")
    save_model("hubert", tmp_path / "hubert.pt", "model.num_classes=54")
    with pytest.raises(BudgetError, match=r"labels\.json is missing"):
        loss_of(tmp_path / "hubert.pt", data / "valid.tsv")
    write_info(data, LabelInfo(50, 20, {"kind": "mfcc"}, "0"))
    with pytest.raises(BudgetError, match=r"learned 50 clusters, but .* have 20"):
        loss_of(tmp_path / "hubert.pt", data / "valid.tsv")
