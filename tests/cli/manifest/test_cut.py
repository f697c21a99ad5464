"""``budget-manifest cut`` to one length and to several, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.frames import num_frames
from fairseq_budget.prepare.summary import Summary
from tests.cli.manifest.folders import build, files_below, names
from tests.synthetic import write_tone_corpus

LENGTHS = ["1", "2", "4"]


def test_cut_joins_each_speaker_to_one_duration(
    tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build("--trainpref", audio, "--destdir", tmp_path / "data")
    capsys.readouterr()
    arguments = (
        "cut",
        "--manifest",
        tmp_path / "data" / "train.tsv",
        "--destdir",
        tmp_path / "cut",
    )
    assert build(*arguments, "--seconds", 2.5, "--json") == 0
    summary = json.loads(capsys.readouterr().out)["train"]
    corpus = read_text(tmp_path / "cut" / "train.tsv")
    assert set(corpus.sizes) == {40_000}
    assert all(len(corpus.read(index)) == 40_000 for index in range(len(corpus)))
    assert (summary["speaker_rule"], summary["num_speakers"]) == ("parent folder", 2)
    whole = read_text(tmp_path / "data" / "train.tsv").sizes.sum()
    left_out = round(summary["left_out_hours"] * 3600 * 16_000)
    assert left_out + corpus.sizes.sum() == whole


def test_cut_takes_joined_pieces_again(tmp_path: Path, audio: Path) -> None:
    build("--trainpref", audio, "--destdir", tmp_path / "data")
    for source, destination, seconds in (("data", "one", 1), ("one", "two", 2)):
        arguments = ("cut", "--manifest", tmp_path / source / "train.tsv", "--seconds", seconds)
        assert build(*arguments, "--destdir", tmp_path / destination, "--seed", 3) == 0
    corpus = read_text(tmp_path / "two" / "train.tsv")
    assert set(corpus.sizes) == {32_000}
    assert len(corpus.read(0)) == 32_000


def test_cut_never_overwrites_its_source(
    tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build("--trainpref", audio, "--destdir", tmp_path)
    manifest = ("--manifest", tmp_path / "train.tsv", "--seconds", 1)
    assert build("cut", *manifest, "--destdir", tmp_path) == 2
    assert "would be overwritten" in capsys.readouterr().err


def test_cut_names_the_line_of_a_bad_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.tsv").write_text("/root\na.wav\t5\tspeaker\n")
    arguments = ("--manifest", tmp_path / "train.tsv", "--seconds", 1)
    assert build("cut", *arguments, "--destdir", tmp_path / "cut") == 2
    assert "line 2: 3 column" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "long"])
def test_cut_refuses_what_is_no_duration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        build("cut", "--manifest", "a.tsv", f"--seconds={seconds}", "--destdir", tmp_path)
    assert "--seconds" in capsys.readouterr().err


def test_cut_removes_older_labels_and_says_which_are_to_be_made_anew(
    tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("cut", "--manifest", labelled / "train.tsv", "--destdir", tmp_path / "cut")
    build(*command, "--seconds", "1")
    cut = tmp_path / "cut/train.tsv"
    assert f"make the column anew for {cut}" in capsys.readouterr().err
    write_column(cut, "km", ("0" for _ in names(cut)), 50.0)
    build(*command, "--seconds", "1")  # the same manifest: its labels still fit
    assert capsys.readouterr().err == ""
    build(*command, "--seconds", "0.5")
    assert f"removed {cut.with_suffix('.km')}" in capsys.readouterr().err
    assert files_below(tmp_path / "cut") == ["train.tsv"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    manifest = write_tone_corpus(tmp_path / "audio", 16)
    path = tmp_path / "data/train.tsv"
    manifest.write(path)
    lines = ("7 " * num_frames(utterance.num_samples) for utterance in manifest.utterances)
    write_column(path, "km", lines, 50.0)
    write_column(path, "text", map(str, range(16)), None)
    return path


def cut(source: Path, *words: object) -> int:
    destination = source.parents[1] / "sets"
    command = ("cut", "--manifest", source, "--destdir", destination, "--seconds", *LENGTHS)
    return build(*command, *words)


def test_each_length_gets_a_folder_to_train_on_with_equal_hours(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cut(source, "--json") == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert list(rows) == ["1s", "2s", "4s"]
    assert len({row["hours"] for row in rows.values()}) == 1
    total = Summary.of(source, Manifest.read(source)).hours
    for row in rows.values():
        assert row["hours"] + row["left_out_hours"] == pytest.approx(total)
        assert row["longest_s"] - row["shortest_s"] <= 1
        assert row["columns"] == ["km"]
        assert len(read_text(row["manifest"], ["km"])) == row["num_utterances"]
    assert "train.text does not fit the cut utterances" in err


def test_the_table_says_what_is_left_out(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cut(source) == 0
    out = capsys.readouterr().out
    assert "1s: " in out
    assert "and km beside it" in out
    assert "2 speakers by parent folder; left out: 6.65e-05 hours" in out


def test_the_same_command_writes_the_same_bytes(source: Path) -> None:
    folder = source.parents[1] / "sets"
    contents = []
    for _ in range(2):
        cut(source, "--seed", "3")
        contents.append([path.read_bytes() for path in sorted(folder.rglob("train.*"))])
    assert contents[0] == contents[1]


def test_labels_of_an_older_cut_are_removed(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(source)
    for path in source.parent.glob("train.km*"):
        path.unlink()
    cut(source, "--seed", "2")
    assert "removed" in capsys.readouterr().err
    assert not list((source.parents[1] / "sets").rglob("train.km*"))


def test_write_audio_makes_files_of_every_length(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cut(source, "--write-audio", tmp_path / "flac") == 0
    assert f"as files in {tmp_path / 'flac/4s'}" in capsys.readouterr().out
    for name in ("1s", "2s", "4s"):
        corpus = read_text(tmp_path / "flac" / name / "train.tsv", ["km"])
        assert len(corpus.read(0)) == corpus.sizes[0]
        assert corpus.name(0).endswith(".flac")


def test_write_audio_goes_with_one_length_too(source: Path, tmp_path: Path) -> None:
    command = ("cut", "--manifest", source, "--destdir", tmp_path / "one", "--seconds", 2)
    assert build(*command, "--write-audio", tmp_path / "flac") == 0
    assert set(read_text(tmp_path / "flac/train.tsv").sizes) == {32_000}
