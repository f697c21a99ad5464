"""Transcribed recordings as PR, ASR and SF of s3prl read them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.audio.io import write_audio
from fairseq_budget.downstream.layout import Layout, Request, make_layout
from fairseq_budget.errors import BudgetError

ROWS = [  # speaker, split, transcript, phones
    ("bob", "train", "the cat", "ð ə k æ t"),
    ("ann", "train", "a cat", "ə k æ t"),
    ("bob", "valid", "cat", "k æ t"),
    ("ann", "test", "the hat", "ð ə h æ t"),
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Four recordings of 0.1, 0.2, ... s and a table of them."""
    lines = ["path,speaker,split,transcript"]
    for number, (speaker, split, transcript, _) in enumerate(ROWS, start=1):
        samples = np.zeros(1600 * number, dtype=np.float32)
        write_audio(tmp_path / "audio" / f"{number}.wav", samples, 16000)
        lines.append(f"{number}.wav,{speaker},{split},{transcript}")
    path = tmp_path / "audio" / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def lay(table: Path, task: str, **options: object) -> Layout:
    folder = table.parents[1] / task
    request = Request(task, str(table.parent), table=str(table), **options)  # type: ignore[arg-type]
    return make_layout(request, folder)


def with_phones(table: Path) -> Path:
    lines = table.read_text().splitlines()
    columns = ["phones", *(phones for *_, phones in ROWS)]
    rows = [f"{line},{phones}\n" for line, phones in zip(lines, columns, strict=True)]
    table.write_text("".join(rows), encoding="utf-8")
    return table


def test_recordings_lie_as_librispeech_does(table: Path) -> None:
    root = lay(table, "asr").folder / "LibriSpeech"
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.*")}
    assert found == {
        *("train-clean-100/2/0/2-0-00000.wav", "train-clean-100/2/0/2-0.trans.txt"),
        *("train-clean-100/1/0/1-0-00001.wav", "train-clean-100/1/0/1-0.trans.txt"),
        *("dev-clean/2/1/2-1-00000.wav", "dev-clean/2/1/2-1.trans.txt"),
        *("test-clean/1/2/1-2-00000.wav", "test-clean/1/2/1-2.trans.txt"),
    }
    assert (root / "test-clean/1/2/1-2.trans.txt").read_text() == "1-2-00000 THE HAT\n"
    assert (root / "test-clean/1/2/1-2-00000.wav").resolve() == table.parent / "4.wav"


def test_asr_has_lengths_for_its_batches_and_the_letters_of_all_splits(table: Path) -> None:
    layout = lay(table, "asr")
    with (layout.folder / "lengths" / "train-clean-100.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {Path(row["file_path"]).stem: int(row["length"]) for row in rows} == {
        "2-0-00000": 1600,
        "1-0-00001": 3200,
    }
    lines = (layout.folder / "letters.txt").read_text().splitlines()
    assert dict(line.split() for line in lines) == {
        **{"A": "5", "T": "6", "|": "7", "H": "3"},
        **{"C": "3", "E": "2"},
    }
    assert layout.classes.keys() == set("ACEHT|")


def test_converted_audio_has_its_new_length(table: Path) -> None:
    write_audio(table.parent / "1.wav", np.zeros(800, dtype=np.float32), 8000)
    layout = lay(table, "asr")
    assert "2-0-00000.wav,1600" in (layout.folder / "lengths/train-clean-100.csv").read_text()
    link = layout.folder / "LibriSpeech/train-clean-100/2/0/2-0-00000.wav"
    assert link.resolve() == layout.folder / "converted" / "000000_1.wav"


def test_phones_that_were_said_are_words_of_one_phone(table: Path) -> None:
    layout = lay(with_phones(table), "pr")
    text = (layout.folder / "LibriSpeech/test-clean/1/2/1-2.trans.txt").read_text()
    assert text == "1-2-00000 ð ə h æ t\n"
    assert (layout.folder / "lexicon.txt").read_text().splitlines()[0] == "h h"
    phones = (layout.folder / "phones.txt").read_text().splitlines()
    assert phones == list(layout.classes) == sorted("ðəhætk")


def test_a_lexicon_gives_the_phones_of_words(table: Path, tmp_path: Path) -> None:
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("the DH AH\nthe DH IY\nCAT K AE T\na AH\nHAT HH AE T\nDOG D AO G\n")
    layout = lay(table, "pr", lexicon=str(lexicon))
    assert (layout.folder / "lexicon.txt").read_text().splitlines() == [
        *("A AH", "CAT K AE T", "HAT HH AE T", "THE DH AH")
    ]
    assert layout.classes.keys() == {"AE", "AH", "DH", "HH", "K", "T"}


def test_words_without_phones_and_no_phones_at_all_are_errors(table: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"no field 'phones'.*--lexicon"):
        lay(table, "pr")
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("THE DH AH\nA AH\n")
    with pytest.raises(BudgetError, match=r"no phones of 'CAT'"):
        lay(table, "pr", lexicon=str(lexicon))


def test_word_pieces_are_learned_from_the_training_part(table: Path) -> None:
    layout = lay(table, "asr5k", pieces=10)
    assert len(layout.classes) + 3 == 10  # s3prl counts <pad>, <eos> and <unk>
    assert "H" in layout.classes
    assert not any("HAT" in piece for piece in layout.classes)
    with pytest.raises(BudgetError, match=r"5000 word pieces of 2 sentences: .* at most \d+"):
        make_layout(Request("asr5k", str(table.parent), table=str(table)), table.parent / "all")


def test_slots_stand_beside_their_words_as_in_snips(table: Path) -> None:
    slots = ["slots", "O animal", "O animal", "animal", "O thing"]
    lines = table.read_text().splitlines()
    table.write_text("".join(f"{a},{b}\n" for a, b in zip(lines, slots, strict=True)))
    layout = lay(table, "sf")
    root = layout.folder / "SNIPS"
    assert "1-snips-test-00000 BOS THE HAT EOS\tO O thing O" in (
        (root / "all.iob.snips.txt").read_text().splitlines()
    )
    assert (root / "test" / "1-snips-test-00000.wav").resolve() == table.parent / "4.wav"
    assert (root / "slots.txt").read_text() == "O\nanimal\nthing"
    assert (layout.folder / "letters.txt").read_text().splitlines() == [" ", *"ACEHT"]
    assert "config.downstream_expert.corpus.train_speakers=None" in layout.overrides()
    table.write_text(table.read_text().replace("O thing", "thing"))
    with pytest.raises(BudgetError, match=r"4\.wav: 1 slots for 2 words"):
        make_layout(Request("sf", str(table.parent), table=str(table)), table.parent / "bad")


def test_words_without_slots_are_an_error(table: Path) -> None:
    with pytest.raises(BudgetError, match="no word has a slot"):
        lay(table, "sf")


def test_empty_transcripts_and_none_are_errors(table: Path) -> None:
    text = table.read_text()
    table.write_text(text.replace("a cat", " "))
    with pytest.raises(BudgetError, match=r"2\.wav: its transcript is empty"):
        lay(table, "asr")
    table.write_text(text.replace("transcript", "words"))
    with pytest.raises(BudgetError, match="no field 'transcript'"):
        lay(table, "asr")


def test_superbs_own_settings_are_asked_for(table: Path) -> None:
    small = lay(table, "asr")
    assert "config.runner.total_steps=400" in small.overrides()
    superb = make_layout(
        Request("asr", str(table.parent), table=str(table), superb=True),
        table.parents[1] / "superb",
    )
    assert [field.split("=")[0].split(".")[1] for field in superb.overrides()] == [
        "downstream_expert"
    ] * 3


def test_librispeech_and_snips_are_read_as_they_are(table: Path, tmp_path: Path) -> None:
    first = lay(table, "asr").folder
    again = make_layout(Request("asr", str(first / "LibriSpeech")), tmp_path / "again")
    assert again.num_utterances == {"train": 2, "valid": 1, "test": 1}
    assert (again.folder / "letters.txt").read_text() == (first / "letters.txt").read_text()
    slots = ["slots", "O animal", "O animal", "animal", "O thing"]
    lines = table.read_text().splitlines()
    table.write_text("".join(f"{a},{b}\n" for a, b in zip(lines, slots, strict=True)))
    first = lay(table, "sf").folder / "SNIPS"
    again = make_layout(Request("sf", str(first)), tmp_path / "snips")
    assert again.num_utterances == {"train": 2, "valid": 1, "test": 1}
    words = [path.read_text().splitlines() for path in tmp_path.rglob("all.iob.snips.txt")]
    assert sorted(words[0]) == sorted(words[1])
