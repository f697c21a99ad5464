"""Feature dumps in the layout of simple_kmeans."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.features import Feature, MfccExtractor
from fairseq_budget.labels.parts import Workers
from fairseq_budget.labels.shards import dump_features
from tests.labelled import contents
from tests.labels.test_labelling import Killed, killer

pytest.importorskip("npy_append_array")


@pytest.fixture
def corpus(manifests) -> Corpus:
    return read_text(manifests / "train.tsv")


def read_dump(path):
    """As simple_kmeans reads it: features memory-mapped, cut by the lengths."""
    lengths = [int(line.rstrip()) for line in path.with_suffix(".len").read_text().splitlines()]
    frames = np.load(path, mmap_mode="r")
    assert sum(lengths) == len(frames)
    return np.split(frames, np.cumsum(lengths)[:-1])


def test_shards_hold_the_slices_of_simple_kmeans(corpus, tmp_path):
    together = []
    for shard in range(5):
        path = dump_features(
            corpus, Feature(), tmp_path / "out", Workers(1), num_shards=5, shard=shard
        )
        assert path.name == f"train_{shard}_5.npy"
        utterances = read_dump(path)
        assert len(utterances) == round(24 / 5 * (shard + 1)) - round(24 / 5 * shard)
        together += utterances
    for index, frames in enumerate(together):
        expected = MfccExtractor()([corpus.read(index)])[0]
        np.testing.assert_allclose(frames, expected, atol=1e-4)


def test_a_killed_dump_goes_on_to_the_same_bytes(corpus, tmp_path, monkeypatch):
    dump_features(corpus, Feature(), tmp_path / "whole", Workers(1))
    whole = contents(tmp_path / "whole")
    assert set(whole) == {"train_0_1.npy", "train_0_1.len", "train_0_1.json"}
    for at in range(1, 20):
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killer(at, before=at % 2 == 0)[0])
            try:
                dump_features(corpus, Feature(), tmp_path / f"{at}", Workers(1))
                break
            except Killed:
                pass
        dump_features(corpus, Feature(), tmp_path / f"{at}", Workers(1))
        assert contents(tmp_path / f"{at}") == whole
    assert at > 5


def test_a_dump_of_another_manifest_is_replaced(corpus, tmp_path):
    path = dump_features(corpus, Feature(), tmp_path / "out", Workers(1))
    manifest = Manifest.read(corpus.path)
    Manifest(manifest.root, manifest.utterances[:4]).write(corpus.path)
    dump_features(read_text(corpus.path), Feature(), tmp_path / "out", Workers(1))
    assert len(read_dump(path)) == 4


@pytest.mark.parametrize("suffix", [".npy", ".len"])
def test_a_dump_with_a_flipped_bit_is_made_again_by_the_same_command(corpus, tmp_path, suffix):
    path = dump_features(corpus, Feature(), tmp_path, Workers(1)).with_suffix(suffix)
    whole = path.read_bytes()
    path.write_bytes(bytes([*whole[:-2], whole[-2] ^ 1, whole[-1]]))
    dump_features(corpus, Feature(), tmp_path, Workers(1))
    assert path.read_bytes() == whole


def test_a_dump_of_a_version_without_hashes_stays(corpus, tmp_path):
    path = dump_features(corpus, Feature(), tmp_path, Workers(1))
    note = json.loads(path.with_suffix(".json").read_text())
    del note["sha256"]
    path.with_suffix(".json").write_text(json.dumps(note))
    path.write_bytes(b"as it was")
    dump_features(corpus, Feature(), tmp_path, Workers(1))
    assert path.read_bytes() == b"as it was"


def test_more_shards_than_utterances_are_an_error(corpus, tmp_path):
    with pytest.raises(BudgetError, match="24 utterances for 100 shards"):
        dump_features(corpus, Feature(), tmp_path, Workers(1), num_shards=100, shard=0)
