"""A small corpus with manifests, and its labels: fixtures of corpus, labels and segmentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.labels import parts
from fairseq_budget.labels.features import Feature
from fairseq_budget.labels.fitting import Fit
from fairseq_budget.labels.labelling import Apply
from fairseq_budget.labels.parts import Workers
from tests.synthetic import write_tone_corpus

NUM_CLUSTERS = 8


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of 3 s, so that a corpus of half a minute has several."""
    monkeypatch.setattr(parts, "MIN_PART_S", 3)


@pytest.fixture(scope="session")
def tones(tmp_path_factory) -> Path:
    """Tones of 0.02 to 2 s: some are too short for a frame."""
    folder = tmp_path_factory.mktemp("tones")
    for split, count, seed in (("train", 24, 1), ("valid", 8, 100)):
        write_tone_corpus(
            folder / split, count, seconds=(0.02, 2.0), extensions=("wav",), seed=seed
        ).write(folder / f"{split}.tsv")
    return folder


@pytest.fixture
def manifests(tones, tmp_path) -> Path:
    """A folder with the manifests alone."""
    folder = tmp_path / "data"
    folder.mkdir()
    for split in ("train", "valid"):
        (folder / f"{split}.tsv").write_bytes((tones / f"{split}.tsv").read_bytes())
    return folder


def make(folder: Path, *, seed: int = 0, num_frames: int = 100_000, splits=("train", "valid")):
    """`budget-labels make` in this process."""
    with Workers(1) as workers:
        Fit(folder, Feature(), NUM_CLUSTERS, num_frames, seed=seed).run(workers)
        return Apply(folder, Feature(), tuple(splits)).run(workers)


def contents(folder: Path) -> dict[str, bytes]:
    """All files that are there, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def labelled(manifests) -> Path:
    make(manifests)
    return manifests
