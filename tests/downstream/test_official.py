"""What of SUPERB's own corpora must be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.cli.downstream.command import main
from fairseq_budget.downstream.official import OFFICIAL, Corpus
from fairseq_budget.downstream.tasks import TASKS

KALDI = ("wav.scp", "segments", "utt2spk", "spk2utt", "reco2dur", "rttm")


def test_each_task_has_a_corpus() -> None:
    assert OFFICIAL.keys() == TASKS.keys()


def test_too_few_files_are_missing(tmp_path: Path) -> None:
    corpus = Corpus("c", "nowhere", 1, 1, {"*/*.wav": 2, "list.txt": 1})
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.wav").touch()
    assert corpus.missing(tmp_path) == ["*/*.wav: 1 of 2 files", "list.txt: 0 of 1 files"]
    (tmp_path / "a" / "2.wav").touch()
    (tmp_path / "list.txt").touch()
    assert corpus.missing(tmp_path) == []


def test_check_says_what_is_missing_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / split).mkdir()
        for name in KALDI:
            (tmp_path / split / name).touch()
    assert main(["check", "--task", "sd", "--data", str(tmp_path)]) == 0
    assert f"complete in {tmp_path}" in capsys.readouterr().out
    (tmp_path / "dev" / "rttm").unlink()
    assert main(["check", "--task", "sd", "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "missing: dev/rttm: 0 of 1 files" in said
    assert "about 90 h, 10 GB, from LibriSpeech" in said


def test_a_folder_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--task", "asr", "--data", str(tmp_path / "no")]) == 2
    assert "no such folder; LibriSpeech" in capsys.readouterr().err
