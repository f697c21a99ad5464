"""``budget-manifest cut`` with several lengths, as users type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairseq_budget.cli.manifest.command import main
from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.frames import num_frames
from tests.synthetic import write_tone_corpus

LENGTHS = ["1", "2", "4"]


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
    command = ["cut", "--manifest", source, "--destdir", destination, "--seconds", *LENGTHS]
    return main([str(word) for word in [*command, *words]])


def test_each_length_gets_a_folder_to_train_on_with_equal_hours(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cut(source, "--json") == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert list(rows) == ["1s", "2s", "4s"]
    assert len({row["hours"] for row in rows.values()}) == 1
    total = Manifest.read(source).summary()["hours"]
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
    words = ["cut", "--manifest", source, "--destdir", tmp_path / "one", "--seconds", 2,
             "--write-audio", tmp_path / "flac"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    assert set(read_text(tmp_path / "flac/train.tsv").sizes) == {32_000}
