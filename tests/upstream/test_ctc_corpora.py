"""The corpora that s3prl's ctc expert asks for, without s3prl."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.upstream.ctc_corpora import LibriDataset, LibriPhoneDataset, SnipsDataset


class Letters:
    """A tokenizer: a letter's id is its code."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three utterances of one and two words in two chapters."""
    for name, text in {"1-0-0": "GO", "1-0-1": "GO ON", "2-1-0": "STOP"}.items():
        speaker, chapter, _ = name.split("-")
        folder = tmp_path / "train" / speaker / chapter
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.flac").touch()
        with (folder / f"{speaker}-{chapter}.trans.txt").open("a") as file:
            file.write(f"{name} {text}\n")
    return tmp_path


def names(items: list[tuple[str, list[int]]]) -> list[str]:
    return [Path(path).stem for path, _ in items]


def test_utterances_are_sorted_by_their_texts_longest_first(corpus: Path) -> None:
    dataset = LibriDataset(["train"], Letters(), 1, str(corpus), name="librispeech")
    assert names([dataset[index] for index in range(len(dataset))]) == ["1-0-1", "2-1-0", "1-0-0"]
    assert dataset[2][1] == [ord("G"), ord("O")]


def test_buckets_are_neighbours_and_always_full(corpus: Path) -> None:
    dataset = LibriDataset(["train"], Letters(), 2, str(corpus))
    assert [names(dataset[index]) for index in range(3)] == [
        *(["1-0-1", "2-1-0"], ["2-1-0", "1-0-0"], ["2-1-0", "1-0-0"])
    ]
    assert len(LibriDataset(["train"], Letters(), 16, str(corpus))[2]) == 3


def test_phones_are_the_lexicons_first(corpus: Path, tmp_path: Path) -> None:
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("GO g o\nGO g ow\nON o n\nSTOP s t\n\n")
    dataset = LibriPhoneDataset(["train"], Letters(), 1, str(corpus), [str(lexicon)])
    assert dataset[0][1] == Letters().encode("g o o n")
    lexicon.write_text("GO g o\nON o n\n")
    with pytest.raises(BudgetError, match="no phones of 'STOP'"):
        LibriPhoneDataset(["train"], Letters(), 1, str(corpus), str(lexicon))


def test_slots_are_of_the_listed_speakers_or_of_all(tmp_path: Path) -> None:
    for speaker in ("Amy", "Joey"):
        (tmp_path / "valid").mkdir(exist_ok=True)
        (tmp_path / "valid" / f"{speaker}-snips-valid-0.wav").touch()
    lines = [f"{speaker}-snips-valid-0 BOS GO EOS\tO O O\n" for speaker in ("Amy", "Joey")]
    (tmp_path / "all.iob.snips.txt").write_text("".join(lines))
    both = SnipsDataset(["valid"], Letters(), 1, str(tmp_path), valid_speakers=None)
    assert len(both) == 2
    [(path, ids)] = SnipsDataset(["valid"], Letters(), 1, str(tmp_path), valid_speakers=["Amy"])
    assert Path(path).name == "Amy-snips-valid-0.wav"
    assert "".join(map(chr, ids)) == "BOS GO EOS\tO O O"


def test_absent_splits_and_audio_are_errors(corpus: Path) -> None:
    with pytest.raises(BudgetError, match=r"dev: no \*\.trans\.txt below it"):
        LibriDataset(["dev"], Letters(), 1, str(corpus))
    (corpus / "train/1/0/1-0-1.flac").unlink()
    with pytest.raises(BudgetError, match="'1-0-1', but there is no audio"):
        LibriDataset(["train"], Letters(), 1, str(corpus))
