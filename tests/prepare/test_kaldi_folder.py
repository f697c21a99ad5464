"""Kaldi's folders as manifests; what is refused, and that nothing is executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.prepare.imported import write_imported
from fairseq_budget.prepare.kaldi_folder import read_kaldi
from tests.synthetic import write_tone


def kaldi(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_wav_scp_alone_gives_whole_files(audio) -> None:
    folder = kaldi(audio, wav_scp="utt1 a.wav\nutt2 b.wav\n", text="utt2 hello there\n")
    write_imported(audio / "train.tsv", read_kaldi(folder, audio), root=audio)
    corpus = read_text(audio / "train.tsv", ["txt"])
    assert [corpus.name(i) for i in range(2)] == ["a.wav", "b.wav"]
    assert [corpus.columns["txt"][i] for i in range(2)] == ["", "hello there"]


def test_segments_give_pieces(audio) -> None:
    folder = kaldi(
        audio, wav_scp="rec1 a.wav\nrec2 b.wav\n", text="u1 one\nu2 two\nu3 three\n",
        segments="u1 rec1 0.25 1.0\nu2 rec1 1.0 -1\nu3 rec2 0 1\n",
    )  # fmt: skip
    rows = list(read_kaldi(folder, audio))
    names = [row.utterance.name for row in rows]
    assert names == ["a.wav@4000+12000", "a.wav@16000+16000", "b.wav"]
    assert [row.text for row in rows] == ["one", "two", "three"]


def test_a_segment_may_overshoot_its_recording_by_half_a_second_as_in_kaldi(audio) -> None:
    folder = kaldi(audio, wav_scp="rec1 b.wav\n", segments="u1 rec1 0.5 1.4\n")
    assert [row.utterance.name for row in read_kaldi(folder, audio)] == ["b.wav@8000+8000"]


def test_tabs_separate_like_blanks_and_empty_lines_are_none(audio) -> None:
    folder = kaldi(audio, wav_scp="utt1\ta.wav\n\nutt2 \t b.wav\n", text="utt1\tone\n\nutt2\n")
    rows = list(read_kaldi(folder, audio))
    assert [row.utterance.name for row in rows] == ["a.wav", "b.wav"]
    assert [row.text for row in rows] == ["one", ""]


def test_a_recording_without_a_file_is_named(audio) -> None:
    with pytest.raises(BudgetError, match=r"wav.scp, line 2: 'utt2' names no file"):
        list(read_kaldi(kaldi(audio, wav_scp="utt1 a.wav\nutt2\n"), audio))


@pytest.mark.parametrize("pipe", ["touch {} |", "| touch {}"])
def test_a_pipe_is_refused_and_not_run(audio, pipe) -> None:
    victim = audio / "executed"
    folder = kaldi(audio, wav_scp=f"utt1 {pipe.format(victim)}\n")
    with pytest.raises(BudgetError, match=r"wav.scp, line 1: .* is a pipe, and nothing is exec"):
        list(read_kaldi(folder, audio))
    assert not victim.exists()


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ("u1 rec9 0 1\n", "'rec9'"),
        ("u1 rec1 1 5\n", "do not lie within"),
        ("u1 rec1\n", "expected"),
        ("u1 rec1 0 inf\n", "expected"),
        ("u1 rec1 nan 1\n", "expected"),
    ],
)
def test_a_wrong_segment_is_named_by_line(audio, segments, message) -> None:
    folder = kaldi(audio, wav_scp="rec1 a.wav\n", segments=segments)
    with pytest.raises(BudgetError, match=rf"segments, line 1: .*{message}"):
        list(read_kaldi(folder, audio))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("utt0 zero\nutt1 one\n", "line 1: utt0 is not the next utterance, utt1"),
        ("utt2 two\nutt1 one\n", "line 2: utt1 does not come after utt2"),
    ],
)
def test_transcripts_in_another_order_are_refused(audio, text, message) -> None:
    folder = kaldi(audio, wav_scp="utt1 a.wav\nutt2 b.wav\n", text=text)
    with pytest.raises(BudgetError, match=rf"text, {message}"):
        list(read_kaldi(folder, audio))


def test_audio_of_another_rate_is_refused(audio) -> None:
    write_tone(audio / "c.wav", 8000, sample_rate=8000)
    folder = kaldi(audio, wav_scp="utt1 a.wav\nutt2 c.wav\n")
    with pytest.raises(BudgetError, match=r"wav.scp, line 2: .*wrong sample rate: 8000"):
        list(read_kaldi(folder, audio))
