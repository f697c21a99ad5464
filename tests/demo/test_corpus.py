"""The synthetic corpus: its bytes, its tables and its phone times."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.audio.io import audio_info, read_audio
from fairseq_budget.demo.corpus import (
    MAX_PAUSE_S,
    DemoPhone,
    DemoUtterance,
    make_demo_corpus,
    read_phones,
    read_utterances,
    read_words,
)
from fairseq_budget.demo.espeak import SILENCE
from fairseq_budget.errors import BudgetError

pytest.importorskip("espeakng_loader", reason="speaks the demo corpus")

TINY = {"num_speakers": 2, "num_sentences": 6, "num_commands": 3, "progress": False}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    make_demo_corpus(folder, seed=1, **TINY)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def phones_of(corpus: Path) -> dict[str, list[DemoPhone]]:
    phones = defaultdict(list)
    for phone in read_phones(corpus):
        phones[phone.utterance_id].append(phone)
    return phones


def words_of(phones: list[DemoPhone]) -> list[DemoPhone]:
    return [phone for phone in phones if phone.phone != SILENCE]


def test_the_same_seed_gives_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    make_demo_corpus(tmp_path / "again", seed=1, **TINY)
    assert contents(tmp_path / "again") == contents(corpus)


def test_another_process_gives_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    code = "from fairseq_budget.demo.corpus import make_demo_corpus as make; "
    code += f"make({str(tmp_path / 'again')!r}, seed=1, **{TINY})"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert contents(tmp_path / "again") == contents(corpus)


def test_another_seed_gives_other_sentences_and_sounds(corpus: Path, tmp_path: Path) -> None:
    others = make_demo_corpus(tmp_path / "other", seed=2, **TINY)
    here = contents(corpus)
    assert {row.transcript for row in others} != {row.transcript for row in read_utterances(corpus)}
    assert all(data != here.get(name) for name, data in contents(tmp_path / "other").items())


def test_every_wav_is_what_the_table_says_and_trainable(corpus: Path) -> None:
    utterances = read_utterances(corpus)
    assert len(utterances) == 6 + 2 * 3
    assert {row.path for row in utterances} == {n for n in contents(corpus) if n.endswith(".wav")}
    for row in utterances:
        assert row.path == f"{row.split}/{row.speaker}/{row.id}.wav"
        info = audio_info(corpus / row.path)
        assert (info.sample_rate, info.num_channels) == (16000, 1)
        assert info.num_samples == row.num_samples
        assert 0.7 < info.duration_s < 6


def test_there_is_no_digital_silence_and_no_clipping(corpus: Path) -> None:
    for row in read_utterances(corpus):
        samples = read_audio(corpus / row.path)
        changes = np.flatnonzero(np.diff(samples) != 0)
        assert np.diff(changes, prepend=0, append=len(samples)).max() < 50
        assert 0.2 < np.abs(samples).max() < 0.75


def test_phones_tile_every_utterance_in_order(corpus: Path) -> None:
    phones = phones_of(corpus)
    for row in read_utterances(corpus):
        spans = phones[row.id]
        assert spans[0].start_s == 0
        assert spans[-1].end_s == row.num_samples / 16000
        assert all(span.start_s < span.end_s for span in spans)
        assert all(before.end_s == after.start_s for before, after in pairwise(spans))


def test_phones_cover_the_words_and_little_else(corpus: Path) -> None:
    phones = phones_of(corpus)
    for row in read_utterances(corpus):
        spoken = words_of(phones[row.id])
        duration_s = row.num_samples / 16000
        assert spoken[0].start_s <= MAX_PAUSE_S + 1e-4
        assert spoken[-1].end_s >= duration_s - MAX_PAUSE_S - 1e-4
        assert 2 * len(row.transcript.split()) <= len(spoken) <= len(row.transcript)
        assert 6 < len(spoken) / duration_s < 17


def test_words_are_the_transcript_in_time(corpus: Path) -> None:
    words = read_words(corpus)
    phones = phones_of(corpus)
    for row in read_utterances(corpus):
        own = [word for word in words if word.utterance_id == row.id]
        assert " ".join(word.word for word in own) == row.transcript
        assert len(own) > len(row.transcript.split()) / 2  # few are run together
        assert all(before.end_s <= after.start_s for before, after in pairwise(own))
        spoken = words_of(phones[row.id])
        assert {word.start_s for word in own} <= {phone.start_s for phone in spoken}
        assert {word.end_s for word in own} <= {phone.end_s for phone in spoken}
        assert own[0].start_s == spoken[0].start_s
        assert own[-1].end_s == spoken[-1].end_s


def test_fricatives_lie_where_the_high_frequencies_are(corpus: Path) -> None:
    phones = phones_of(corpus)
    slopes: dict[bool, list[float]] = {True: [], False: []}  # per phone: is it a sibilant
    for row in read_utterances(corpus):
        samples = read_audio(corpus / row.path)
        for span in words_of(phones[row.id]):
            piece = samples[round(span.start_s * 16000) : round(span.end_s * 16000)]
            steepness = np.square(np.diff(piece)).sum() / np.square(piece).sum()
            slopes[span.phone in ("s", "ʃ", "tʃ")].append(float(steepness))
    assert np.median(slopes[True]) > 4 * np.median(slopes[False])


def test_speakers_have_voices_of_their_own(corpus: Path) -> None:
    commands = [row for row in read_utterances(corpus) if row.kind == "command"]
    assert {row.speaker for row in commands} == {"spk000", "spk001"}
    pitch = {
        speaker: np.median([pitch_of(corpus, row) for row in commands if row.speaker == speaker])
        for speaker in ("spk000", "spk001")
    }
    assert pitch["spk000"] > 1.2 * pitch["spk001"]  # a woman and a man


def pitch_of(corpus: Path, row: DemoUtterance) -> float:
    samples = read_audio(corpus / row.path)
    middle = samples[len(samples) // 2 :][:4000]
    spectrum = np.abs(np.fft.rfft(middle, 16384)) ** 2
    correlation = np.fft.irfft(spectrum)[:400]
    return 16000 / (40 + int(correlation[40:].argmax()))


def test_a_finished_corpus_is_reused(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    assert make_demo_corpus(corpus, seed=1, **TINY) == read_utterances(corpus)
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before


def test_other_arguments_for_a_finished_corpus_are_refused(corpus: Path) -> None:
    with pytest.raises(BudgetError, match=r"\"seed\": 1.*\"seed\": 2.*delete it"):
        make_demo_corpus(corpus, seed=2, **TINY)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(BudgetError, match="no demo corpus; choose another folder"):
        make_demo_corpus(tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_interrupted_run_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fairseq_budget.demo.corpus.write_audio", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_demo_corpus(tmp_path / "corpus", **TINY)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_speakers": 0},
        {"num_sentences": -1},
        {"num_commands": 97},
        {"num_sentences": 0, "num_commands": 0},
        {"seed": -1},
    ],
)
def test_counts_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(BudgetError, match=next(iter(wrong))):
        make_demo_corpus(tmp_path / "corpus", **{**TINY, **wrong})


def test_reading_a_folder_without_a_corpus_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"utterances\.tsv is missing; make the corpus with"):
        read_utterances(tmp_path)
    (tmp_path / "phones.tsv").write_text("a\tb\n")
    with pytest.raises(BudgetError, match="make the corpus again"):
        read_phones(tmp_path)


ROWS = "utterance_id\tstart_s\tend_s\tphone\na\t0.0\t0.1\tsil\n"


@pytest.mark.parametrize(
    "row",
    ["", "a\t0\n", "a\tx\t0\ts\n", "a\tnan\t1\ts\n", "a\t1\t0\ts\n", "a\t0\tinf\ts\n", "\xff"],
)
def test_a_table_with_other_rows_is_an_error(tmp_path: Path, row: str) -> None:
    (tmp_path / "phones.tsv").write_bytes((ROWS * bool(row) + row).encode("latin-1"))
    with pytest.raises(BudgetError, match=r"phones\.tsv .*make the corpus again"):
        read_phones(tmp_path)
