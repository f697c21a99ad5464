"""The commands that write beside a manifest, in every order."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from fairseq_budget.cli.asr import command as asr
from fairseq_budget.cli.labels import command as labels
from fairseq_budget.cli.manifest import command as manifest
from fairseq_budget.corpus.labels import open_labels
from fairseq_budget.corpus.packed import Packed, open_corpus
from fairseq_budget.corpus.segments import open_segments
from tests.synthetic import write_tone_corpus

pytestmark = pytest.mark.slow

WORKERS = ("--workers", "1")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("orders") / "data"
    tones = write_tone_corpus(folder.parent / "audio", 4, seconds=(1.0, 1.5), extensions=("wav",))
    tones.write(folder / "train.tsv")
    (folder.parent / "train.wrd").write_text("A B\nB A\nA B B\nB\n")
    assert labels.main(["make", "--data", str(folder), "--clusters", "4", *WORKERS]) == 0
    return folder


def commands(data: Path) -> dict[str, tuple]:
    at, texts = ("--data", str(data)), str(data.parent / "{split}.wrd")
    return {
        "make": (labels, "make", *at, "--clusters", "5", "--name", "km2", *WORKERS),
        "segment": (labels, "segment", *at, "--penalty", "10", *WORKERS),
        "prepare": (asr, "prepare", *at, "--splits", "train", "--transcripts", texts),
        "pack": (manifest, "pack", *at, "--splits", "train"),
    }


def call(module, *arguments: str) -> None:
    assert module.main(list(arguments)) == 0


ORDERS = list(itertools.permutations(["make", "segment", "prepare", "pack"]))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_commands_beside_a_manifest_work_in_every_order(made, tmp_path, order):
    data = tmp_path / "data"
    shutil.copytree(made, data)
    shutil.copy(made.parent / "train.wrd", tmp_path)
    for name in order:
        call(*commands(data)[name])
    call(*commands(data)["pack"])
    manifest_at = ("--manifest", str(data / "train.tsv"))
    call(manifest, "subset", *manifest_at, "--hours", "0.0008", "--destdir", str(tmp_path / "sub"))
    call(manifest, "cut", *manifest_at, "--seconds", "0.5", "1", "--destdir", str(tmp_path / "cut"))
    for folder in (data, tmp_path / "sub/0.0008h", tmp_path / "cut/1s"):
        call(manifest, "pack", "--data", str(folder), "--splits", "train")
        corpus = open_corpus(folder, "train")
        assert isinstance(corpus.source, Packed)
        assert len(open_segments(folder, "train", corpus=corpus)) == len(corpus)
        for name, num_clusters in (("km", 4), ("km2", 5)):
            assert open_labels(folder, "train", name, corpus=corpus).num_clusters == num_clusters


def test_what_is_there_is_not_overwritten_by_something_else(made, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(made, data)
    call(*commands(data)["segment"])
    for name, command in (("seg", "make"), ("km", "segment")):
        before = (data / f"train.{name}").read_bytes()
        module, *arguments = commands(data)[command]
        assert module.main([*arguments, "--name", name]) == 2
        assert "--name" in capsys.readouterr().err
        assert (data / f"train.{name}").read_bytes() == before
