"""Layers of a corpus on disk: whose frames they are, through kills, windows and bad audio."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_budget.cli.report.command import main
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels import layers as module
from fairseq_budget.labels.layers import Dump, Layers
from fairseq_budget.labels.parts import Workers
from fairseq_budget.pretrained import load_pretrained, save_pretrained
from tests.labelled import contents
from tests.labels.test_labelling import Killed, killer
from tests.own_models import random_checkpoint

pytest.importorskip("npy_append_array")
NAMES = {f"layer_{n}/train_0_1.{kind}" for n in (0, 2) for kind in ("npy", "len", "tsv", "json")}


@pytest.fixture(scope="session")
def encoder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    save_pretrained(folder, random_checkpoint(extractor_mode="layer_norm"))
    return folder


@pytest.fixture
def dump(manifests, encoder) -> Dump:
    """Layers 0 and 2 of tones of up to 2 s, in windows of 0.8 s."""
    feature = Layers(encoder, layers=(0, 2), batch_samples=40_000)
    return Dump(read_text(manifests / "train.tsv"), feature, 0.8, 0.2)


def write(dump: Dump, folder: Path, file_format: str = "npy") -> list[Path]:
    return dump.write(folder, file_format, Workers(1))[0]


def read(path: Path) -> dict[str, np.ndarray]:
    """The frames of each utterance by its id, as a user's model would read them."""
    with path.with_suffix(".tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    lengths = [int(row["frames"]) for row in rows]
    assert path.with_suffix(".len").read_text().split() == list(map(str, lengths))
    frames = np.load(path, mmap_mode="r")
    assert len(frames) == sum(lengths)
    pieces = np.split(frames, np.cumsum(lengths)[:-1])
    return {row["id"]: piece for row, piece in zip(rows, pieces, strict=True)}


def test_each_layer_has_the_frames_of_every_utterance(dump, encoder, tmp_path):
    paths = write(replace(dump, window_s=30, overlap_s=4), tmp_path)
    assert paths == [tmp_path / f"layer_{n}/train_0_1.npy" for n in (0, 2)]
    model = load_pretrained(encoder)
    for layer, path in zip((0, 2), paths, strict=True):
        found = read(path)
        assert [*found] == [dump.corpus.name(index) for index in range(len(dump.corpus))]
        for index, name in enumerate(found):
            wave = torch.from_numpy(dump.corpus.read(index))[None]
            if wave.shape[1] >= 400:
                with torch.no_grad():
                    expected = model(wave).hidden_states[layer][0]
                np.testing.assert_allclose(found[name], expected, atol=1e-4)
            else:
                assert len(found[name]) == 0


def test_seams_are_heard_the_less_the_more_windows_overlap(dump, tmp_path):
    whole = np.load(write(replace(dump, window_s=30), tmp_path / "whole")[1])

    def error(overlap_s: float) -> float:
        found = np.load(write(replace(dump, overlap_s=overlap_s), tmp_path / f"{overlap_s}")[1])
        assert found.shape == whole.shape
        return float(np.linalg.norm(found - whole) / np.linalg.norm(whole))

    assert 0 < error(0.4) < 0.7 * error(0)


def test_a_killed_dump_goes_on_to_the_same_bytes(dump, tmp_path, monkeypatch):
    write(dump, tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    assert set(whole) == NAMES
    for at in range(1, 40, 3):
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killer(at, before=at % 2 == 0)[0])
            try:
                write(dump, tmp_path / f"{at}")
                break
            except Killed:
                pass
        write(dump, tmp_path / f"{at}")
        assert contents(tmp_path / f"{at}") == whole
    assert at > 10


def test_what_is_done_is_not_computed_again(dump, tmp_path, monkeypatch):
    write(dump, tmp_path)
    monkeypatch.setattr(module, "run_tasks", None)
    write(dump, tmp_path)
    with pytest.raises(TypeError):
        write(replace(dump, overlap_s=0), tmp_path)


def test_half_precision_is_half_the_room_and_refuses_what_it_cannot_hold(dump, tmp_path):
    single, half = (
        np.load(write(replace(dump, dtype=dtype), tmp_path / dtype)[1])
        for dtype in ("float32", "float16")
    )
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, single.astype(np.float16))
    loud = random_checkpoint(extractor_mode="layer_norm", layer_norm_first=True)
    loud.state["encoder.post_extract_proj.bias"] += 1e6
    save_pretrained(tmp_path / "loud", loud)
    feature = replace(dump.feature, checkpoint=tmp_path / "loud")
    with pytest.raises(BudgetError, match=r"values beyond float16 \(.*: take --dtype float32"):
        write(replace(dump, feature=feature, dtype="float16"), tmp_path / "b")


def test_shards_and_parts_change_nothing_and_order_is_the_manifests(dump, tmp_path):
    alone = replace(dump, feature=replace(dump.feature, batch_samples=1))
    expected = read(write(alone, tmp_path / "whole")[1])
    found = {}
    for shard in range(3):
        [_, path] = write(replace(alone, num_shards=3, shard=shard), tmp_path / "shards")
        found |= read(path)
    assert [*found] == [*expected]
    for name, frames in expected.items():
        np.testing.assert_array_equal(found[name], frames)


def test_an_utterance_that_cannot_be_read_has_no_frames_and_too_many_are_an_error(
    dump, tmp_path, monkeypatch
):
    manifest = Manifest.read(dump.corpus.path)
    longest = max(manifest.utterances, key=lambda utterance: utterance.num_samples)
    lines = [
        u._replace(pieces=(u.pieces[0]._replace(path="gone.wav"),)) if u is longest else u
        for u in manifest.utterances
    ]
    Manifest(manifest.root, lines).write(dump.corpus.path)
    dump = replace(dump, corpus=read_text(dump.corpus.path))
    paths, unheard = dump.write(tmp_path / "out", "npy", Workers(1))
    assert len(unheard) == 1
    assert "gone.wav" in next(iter(unheard.values()))
    assert len(read(paths[1])["gone.wav"]) == 0
    assert np.isfinite(np.load(paths[1])).all()
    monkeypatch.setattr(module, "are_too_many", lambda *_: True)
    with pytest.raises(BudgetError, match=r"1 of 24 utterances of .*--max-bad-share(.|\n)*gone"):
        write(replace(dump, dtype="float16"), tmp_path / "out")


def test_hdf5_holds_the_same_frames_and_the_same_bytes_twice(dump, tmp_path):
    h5py = pytest.importorskip("h5py", minversion="3")  # not what stands for it in s3prl
    expected = write(dump, tmp_path / "npy")
    [path] = write(dump, tmp_path / "a", "hdf5")
    with h5py.File(path) as file:
        for layer, npy in zip((0, 2), expected, strict=True):
            np.testing.assert_array_equal(file[f"layer_{layer}"][:], np.load(npy))
        assert [*file["ids"].asstr()[:]] == [*read(expected[0])]
        assert file["lengths"][:].tolist() == [len(x) for x in read(expected[0]).values()]
    [again] = write(dump, tmp_path / "b", "hdf5")
    assert again.read_bytes() == path.read_bytes()


def test_without_h5py_the_format_is_refused_before_any_work(dump, tmp_path, monkeypatch):
    monkeypatch.setattr("fairseq_budget.labels.layer_files.find_spec", lambda name: None)
    with pytest.raises(BudgetError, match=r"needs h5py; pip install 'fairseq_budget\[hdf5\]'"):
        write(dump, tmp_path / "out", "hdf5")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_all_layers_of_a_shortened_sequence_too(manifests, tmp_path, capsys):
    save_pretrained(tmp_path / "cif", random_checkpoint(subsample="cif"))
    words = ["--checkpoint", tmp_path / "cif", "--manifest", manifests / "valid.tsv"]
    words += ["--layers", "all", "--out", tmp_path / "out", "--workers", 1]
    assert main(["features", *map(str, words)]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.parent.name for path in paths] == ["layer_0", "layer_1", "layer_2"]
    sizes = read_text(manifests / "valid.tsv").sizes
    assert len(np.load(paths[2])) == np.maximum(0, (sizes - 80) // 320).sum()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--layers", "1,3"], "--layers 3: the checkpoint has 2 layers; give numbers from 0"),
        (["--layers", "1", "--window-seconds", "200"], "windows of 0.1 to 100 s"),
        (["--layers", "1", "--window-seconds", "0.02"], "windows of 0.1 to 100 s"),
        (["--layers", "1", "--overlap-seconds", "20"], "at least twice their overlap"),
        (["--layers", "1", "--shard", "1"], "--shard 1 of --num-shards 1: shards count from 0"),
    ],
)
def test_what_cannot_be_is_one_line(words, reason, encoder, manifests, tmp_path, capsys):
    given = ["--checkpoint", encoder, "--manifest", manifests / "valid.tsv", "--out", tmp_path]
    assert main(["features", *map(str, given), *words]) == 2
    assert reason in capsys.readouterr().err
