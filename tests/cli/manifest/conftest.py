"""A folder of audio, and manifests of it with labels beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.corpus.column import write_column
from tests.cli.manifest.folders import build
from tests.synthetic import write_tone_corpus


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    write_tone_corpus(tmp_path / "audio", 6)
    return tmp_path / "audio"


@pytest.fixture
def labelled(tmp_path: Path, audio: Path) -> Path:
    """A folder with train.tsv and valid.tsv and labels of both."""
    folder = tmp_path / "data"
    build("--trainpref", audio, "--validpref", audio, "--destdir", folder)
    for split in ("train", "valid"):
        write_column(folder / f"{split}.tsv", "km", map(str, range(6)), 50.0)
    (folder / "dict.km.txt").write_text("0 1\n")
    return folder
