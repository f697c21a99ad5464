"""Recordings of one speaker each as ASV and SD of s3prl read them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.audio.io import read_audio
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


def columns(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


def test_conversations_are_the_sum_of_their_turns(digits: Path, tmp_path: Path) -> None:
    folder = lay(digits, tmp_path / "sd", "sd").folder / "test"
    wavs = dict(columns(folder / "wav.scp"))
    speakers = dict(columns(folder / "utt2spk"))
    durations = dict(columns(folder / "reco2dur"))
    assert len(wavs) == 6
    for name, path in wavs.items():
        rows = [row for row in columns(folder / "segments") if row[1] == name]
        assert [speakers[row[0]] for row in rows] == ["speaker0001"] * 2 + ["speaker0002"] * 2
        spans = sorted((float(start), float(end)) for _, _, start, end in rows)
        samples = read_audio(path)
        assert float(durations[name]) == pytest.approx(len(samples) / 16000, abs=1e-6)
        assert spans[0][0] == 0
        assert max(end for _, end in spans) == pytest.approx(len(samples) / 16000, abs=1e-6)
        heard = np.zeros(len(samples), dtype=bool)
        for start, end in spans:
            heard[round(start * 16000) : round(end * 16000)] = True
        assert np.abs(samples[~heard]).max(initial=0) == 0
        assert all(np.abs(samples[round(a * 16000) :][:800]).max() > 0.05 for a, _ in spans)


def test_no_one_speaks_twice_at_once_and_two_do(digits: Path, tmp_path: Path) -> None:
    folder = lay(digits, tmp_path / "sd", "sd").folder / "train"
    rows = [(row[1], row[7], float(row[3]), float(row[4])) for row in columns(folder / "rttm")]
    overlaps = {True: 0, False: 0}
    for (name, one, start, length), (other_name, other, later, _) in itertools.permutations(
        rows, 2
    ):
        if name == other_name and start <= later < start + length - 1e-3:
            overlaps[one == other] += 1
    assert overlaps[True] == 0
    assert overlaps[False] > 0


def test_mixtures_are_drawn_by_the_seed(digits: Path, tmp_path: Path) -> None:
    texts = [
        (lay(digits, tmp_path / str(number), "sd", seed=seed).folder / "train/segments").read_text()
        for number, seed in enumerate((0, 0, 1))
    ]
    assert texts[0] == texts[1] != texts[2]


def test_one_speaker_holds_no_conversation(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="test has one speaker"):
        lay(digits, tmp_path / "sd", "sd", test="take=0-1 speaker=ann")
