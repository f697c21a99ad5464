"""Members of archives keep their names, and with them their speakers, through cuts."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fairseq_budget.cli.manifest.command import main
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.prepare.archive_names import read_names
from tests.synthetic import write_tone_corpus


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The manifest of two speakers in a zip."""
    manifest = write_tone_corpus(tmp_path / "raw", 12, seconds=(2.0, 4.0))
    with zipfile.ZipFile(tmp_path / "speech.zip", "w", zipfile.ZIP_STORED) as archive:
        for utterance in manifest.utterances:
            archive.write(tmp_path / "raw" / utterance.name, utterance.name)
    folder = tmp_path / "data"
    assert main(["--trainpref", str(tmp_path / "speech.zip"), "--destdir", str(folder)]) == 0
    return folder


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def name_of(path: str, data: Path) -> str:
    manifest = Manifest.read(data / "train.tsv")
    return read_names(data / "train.tsv", manifest)[path]


@pytest.mark.parametrize(("lengths", "folder"), [([1.5], "."), ([1, 5], "5s")])
def test_cut_utterances_have_one_speaker_and_the_names_of_their_pieces(
    data: Path, lengths: list, folder: str
) -> None:
    out = data.parent / "cut"
    run("cut", "--manifest", data / "train.tsv", "--seconds", *lengths, "--destdir", out)
    corpus = read_text(out / folder / "train.tsv", ["name"])
    for index in range(len(corpus)):
        pieces = corpus.utterance(index).pieces
        named = [
            f"{name_of(piece.path, data)}@{piece.start}+{piece.num_samples}" for piece in pieces
        ]
        assert corpus.columns["name"][index] == "|".join(named)
        assert len({name.split("/")[1] for name in named}) == 1


def test_a_cut_is_cut_again_by_the_same_names(data: Path, capsys) -> None:
    once, twice = data.parent / "once", data.parent / "twice"
    run("cut", "--manifest", data / "train.tsv", "--seconds", 4, "--destdir", once)
    run("cut", "--manifest", once / "train.tsv", "--seconds", 1, "--speaker", r"speaker_(\d)",
        "--destdir", twice, "--write-audio", data.parent / "audio")  # fmt: skip
    assert "2 speakers by first group" in capsys.readouterr().out
    folders = {path.name for path in (data.parent / "audio/train").iterdir()}
    assert folders == {"0", "1"}


def test_paths_that_tell_need_no_column(data: Path) -> None:
    manifest = write_tone_corpus(data.parent / "plain", 2)
    manifest.write(data / "valid.tsv")
    assert read_names(data / "valid.tsv", manifest) == {}
