"""Lhotse's cuts and Kaldi's folders as manifests; what is refused, and that nothing is executed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from fairseq_budget.corpus import Corpus, column_path
from fairseq_budget.errors import BudgetError
from fairseq_budget.imports import read_kaldi, read_lhotse, write_imported
from tests.synthetic import write_tone


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """a.wav of 2 s and b.wav of 1 s."""
    write_tone(tmp_path / "a.wav", 32000, seed=1)
    write_tone(tmp_path / "b.wav", 16000, seed=2)
    return tmp_path


def cut(name: str, start: float, duration: float, total: int, text=None, **changes) -> dict:
    recording = {
        "id": name,
        "sources": [{"type": "file", "channels": [0], "source": name}],
        "sampling_rate": 16000,
        "num_samples": total,
        "duration": total / 16000,
    }
    said = [{"id": "s", "text": text}] if text is not None else []
    whole = {"id": f"{name}-{start}", "start": start, "duration": duration, "channel": 0,
             "supervisions": said, "recording": recording, "type": "MonoCut"}  # fmt: skip
    return {**whole, **changes}


def write_cuts(folder: Path, *cuts: dict) -> Path:
    path = folder / "cuts.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(cut) + "\n" for cut in cuts)
    return path


def test_cuts_become_files_and_pieces_with_their_transcripts(audio) -> None:
    cuts = write_cuts(
        audio, cut("a.wav", 0, 2.0, 32000, "two\nwords"), cut("a.wav", 0.5, 1.0, 32000),
        cut("b.wav", 0.0, 1.0, 16000, ""),
    )  # fmt: skip
    manifest = audio / "train.tsv"
    assert write_imported(manifest, read_lhotse(cuts), root=audio) == 3
    corpus = Corpus.open(manifest, ["txt"])
    assert [corpus.name(i) for i in range(3)] == ["a.wav", "a.wav@8000+16000", "b.wav"]
    assert corpus.sizes.tolist() == [32000, 16000, 16000]
    assert [corpus.columns["txt"][i] for i in range(3)] == ["two words", "", ""]
    assert (corpus.read(1) == corpus.read(0)[8000:24000]).all()


def test_without_transcripts_there_is_no_column(audio) -> None:
    cuts = write_cuts(audio, cut("a.wav", 0, 2.0, 32000))
    write_imported(audio / "train.tsv", read_lhotse(cuts), root=audio)
    assert not column_path(audio / "train.tsv", "txt").exists()


def with_recording(**changes) -> dict:
    one = cut("a.wav", 0, 2.0, 32000)
    return {**one, "recording": {**one["recording"], **changes}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (cut("a.wav", 0, 2.0, 32000, type="MixedCut"), "is a MixedCut"),
        (cut("a.wav", 1.5, 1.0, 32000), "do not lie within the 32000"),
        (with_recording(sampling_rate=8000), "has 8000 Hz"),
        (with_recording(transforms=[{"name": "Speed"}]), "is transformed"),
        (with_recording(sources=[{"type": "command", "channels": [0], "source": "rm x"}]),
         "not one mono file"),
        (with_recording(sources=[{"type": "file", "channels": [0, 1], "source": "a.wav"}]),
         "not one mono file"),
        ({"id": "x"}, "no 'recording'"),
    ],
)  # fmt: skip
def test_other_cuts_are_refused_by_line(audio, wrong, message) -> None:
    cuts = write_cuts(audio, cut("a.wav", 0, 2.0, 32000), wrong)
    with pytest.raises(BudgetError, match=rf"cuts.jsonl.gz, line 2: .*{message}"):
        list(read_lhotse(cuts))


def test_a_file_of_something_else_is_an_error(tmp_path) -> None:
    (tmp_path / "cuts.jsonl").write_text("not json\n")
    (tmp_path / "cuts.jsonl.gz").write_bytes(b"not gzip")
    for name, message in (("cuts.jsonl", "line 1"), ("cuts.jsonl.gz", "cannot read")):
        with pytest.raises(BudgetError, match=message):
            list(read_lhotse(tmp_path / name))


def kaldi(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_wav_scp_alone_gives_whole_files(audio) -> None:
    folder = kaldi(audio, wav_scp="utt1 a.wav\nutt2 b.wav\n", text="utt2 hello there\n")
    write_imported(audio / "train.tsv", read_kaldi(folder, audio), root=audio)
    corpus = Corpus.open(audio / "train.tsv", ["txt"])
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
    ],
)
def test_a_wrong_segment_is_named_by_line(audio, segments, message) -> None:
    folder = kaldi(audio, wav_scp="rec1 a.wav\n", segments=segments)
    with pytest.raises(BudgetError, match=rf"segments, line 1: .*{message}"):
        list(read_kaldi(folder, audio))


def test_transcripts_in_another_order_are_refused(audio) -> None:
    folder = kaldi(audio, wav_scp="utt1 a.wav\nutt2 b.wav\n", text="utt0 zero\nutt1 one\n")
    with pytest.raises(BudgetError, match=r"text, line 1: utt0 is not the next utterance, utt1"):
        list(read_kaldi(folder, audio))


def test_audio_of_another_rate_is_refused(audio) -> None:
    write_tone(audio / "c.wav", 8000, sample_rate=8000)
    folder = kaldi(audio, wav_scp="utt1 a.wav\nutt2 c.wav\n")
    with pytest.raises(BudgetError, match=r"wav.scp, line 2: .*wrong sample rate: 8000"):
        list(read_kaldi(folder, audio))


def test_nothing_to_import_leaves_nothing(tmp_path) -> None:
    with pytest.raises(BudgetError, match="nothing to put into"):
        write_imported(tmp_path / "train.tsv", [], root=tmp_path)
    assert list(tmp_path.iterdir()) == []
