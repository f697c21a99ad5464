"""Recordings of one speaker each as ASV and SD of s3prl read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.downstream.layout import Layout, Request, make_layout
from fairseq_budget.errors import BudgetError


def lay(digits: Path, folder: Path, task: str, **options: object) -> Layout:
    filters = {"train": "take=4-7", "valid": "take=2-3", "test": "take=0-1"}
    request = Request(task, str(digits), **{**filters, **options})  # type: ignore[arg-type]
    return make_layout(request, folder)


@pytest.mark.parametrize(("split", "root"), [("valid", "dev/wav"), ("test", "test/wav")])
def test_trials_pair_each_recording_with_its_speaker_and_another(
    split: str, root: str, digits: Path, tmp_path: Path
) -> None:
    layout = lay(digits, tmp_path / "asv", "asv")
    assert layout.classes == {"id10001": "ann", "id10002": "bob"}
    lines = (layout.folder / f"{split}_trials.txt").read_text().splitlines()
    assert [line[0] for line in lines] == ["1", "0"] * 12
    for line in lines:
        same, *files = line.split()
        paths = [(layout.folder / "VoxCeleb1" / root / file) for file in files]
        speakers = {path.resolve().stem.split("_")[1] for path in paths}
        assert all(path.is_file() for path in paths)
        assert len({path.resolve() for path in paths}) == 2
        assert len(speakers) == (1 if same == "1" else 2)
        assert all(f"/{split}/" in file for file in files)


def test_what_is_verified_is_not_trained_on(digits: Path, tmp_path: Path) -> None:
    root = lay(digits, tmp_path / "asv", "asv").folder / "VoxCeleb1"
    trained = sorted(path.resolve().stem for path in (root / "dev" / "wav").rglob("*.wav"))
    assert len(trained) == 24
    assert {name[-1] for name in trained} == set("4567")


def test_one_speaker_makes_no_trials(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="test has 6 recordings of 1 speakers"):
        lay(digits, tmp_path / "asv", "asv", test="take=0-1 speaker=ann")
