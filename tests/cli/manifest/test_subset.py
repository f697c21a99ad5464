"""``budget-manifest subset``, as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.corpus.plain import read_text
from tests.cli.manifest.folders import build, names


def test_subset_writes_a_folder_to_train_on_for_each_number_of_hours(
    tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hours = ["0.0005", "0.001"]  # 1.8 and 3.6 s
    command = ("subset", "--manifest", labelled / "train.tsv", "--destdir", tmp_path / "subsets")
    assert build(*command, "--hours", *hours) == 0
    assert "0.0005h: 1 utterances" in capsys.readouterr().out
    small, large = (tmp_path / "subsets" / f"{h}h" for h in hours)
    assert set(names(small / "train.tsv")) < set(names(large / "train.tsv"))
    for folder in (small, large):
        corpus = read_text(folder / "train.tsv", ["km"])
        whole = names(labelled / "train.tsv")
        assert [int(corpus.columns["km"][i]) for i in range(len(corpus))] == [
            whole.index(corpus.name(i)) for i in range(len(corpus))
        ]
        assert len(read_text(folder / "valid.tsv", ["km"])) == 6
        assert (folder / "dict.km.txt").exists()


def test_another_subset_in_the_same_place_leaves_no_older_labels(
    tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("subset", "--manifest", labelled / "train.tsv", "--destdir", tmp_path, "--with")
    assert build(*command, "--hours", "0.001") == 0
    assert not (tmp_path / "0.001h/valid.tsv").exists()
    for file in labelled.glob("train.km*"):
        file.unlink()
    assert build(*command, "--hours", "0.001", "--seed", 3) == 0
    assert "removed" in capsys.readouterr().err
    assert not list((tmp_path / "0.001h").glob("train.km*"))


def test_subset_of_more_than_there_is_is_one_line(
    tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("subset", "--manifest", labelled / "train.tsv", "--destdir", tmp_path)
    assert build(*command, "--hours", "1") == 2
    assert "1 hours were asked for, but the manifest has 0.002" in capsys.readouterr().err
