"""Files made by version 0.1.0, before its modules moved, are read as they were."""

from __future__ import annotations

import base64
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_budget.audio.io import write_audio
from fairseq_budget.corpus.labels import open_labels
from fairseq_budget.corpus.packed import Packed, open_corpus
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.pretrained import load_pretrained, read_pretrained
from tests.conftest import run, train_command

STORED = json.loads(Path(__file__).with_name("files_of_0_1_0.json").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All of them, and audio of their lengths where the manifest is told that it is."""
    for name, content in STORED.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(lzma.decompress(base64.b85decode(content)))
    manifest = tmp_path / "data/train.tsv"
    lines = manifest.read_text().splitlines()
    rng = np.random.default_rng(0)
    for name, num_samples in (line.split("\t") for line in lines[1:]):
        samples = 0.1 * rng.standard_normal(int(num_samples)).astype(np.float32)
        write_audio(tmp_path / "audio" / name, samples, 16000)
    manifest.write_text("\n".join([str(tmp_path / "audio"), *lines[1:]]) + "\n")
    return tmp_path


def test_a_pack_opens_with_the_labels_of_its_text(folder):
    corpus = open_corpus(folder / "data", "train", ["km"])
    text = (folder / "data/train.km").read_text().splitlines()
    assert isinstance(corpus.source, Packed)
    corpus.source.pack.check()
    assert [corpus.columns["km"][i] for i in range(len(corpus))] == text
    assert len(corpus.read(0)) == corpus.sizes[0] == 16000


def test_labels_and_centroids_open_and_pass_every_check(folder):
    data = folder / "data"
    labels = open_labels(data, "train", "km", corpus=read_text(data / "train.tsv"))
    assert all(len(labels.check_line(i, 16000 + 800 * i)) for i in range(8))
    assert KMeans.load(data / "kmeans.safetensors").description["num_clusters"] == 4


def test_checkpoint_and_export_hold_the_same_encoder_that_computes_what_it_did(folder):
    checkpoint = read_pretrained(folder / "ckpt/checkpoint_last.pt")
    exported = read_pretrained(folder / "exported")
    assert checkpoint.encoder.resolved() == exported.encoder.resolved()
    assert all(torch.equal(checkpoint.state[key], exported.state[key]) for key in exported.state)
    with torch.no_grad():
        states = load_pretrained(folder / "exported")(torch.linspace(-1, 1, 16000).sin())
    sums = [float(state.double().abs().sum()) for state in states.hidden_states]
    assert sums == pytest.approx([320.80878714, 320.77084189], rel=1e-5)


@pytest.mark.fairseq
def test_a_run_goes_on_from_its_checkpoint(folder):
    small = [
        f"model.encoder_{name}" for name in ("layers=1", "embed_dim=8", "ffn_embed_dim=8",
                                             "attention_heads=1")
    ]  # fmt: skip
    small += ["model.final_dim=4", "model.conv_dim=4", "model.conv_pos=4"]
    done = run(
        *train_command(folder / "data", folder / "ckpt", preset="budget_hubert_demo"),
        *small, "model.conv_pos_groups=1", "optimization.max_update=4", "dataset.num_workers=0",
        "dataset.disable_validation=true", "lr_scheduler.warmup_updates=1",
    )  # fmt: skip
    assert "num_updates 4" in done.stdout + done.stderr
    assert read_pretrained(folder / "ckpt/checkpoint_last.pt").provenance["num_updates"] == 4
