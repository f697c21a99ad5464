"""The manifest format: round trips, joined pieces, and every error with its line and cure."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_budget.corpus.manifest import (
    Manifest,
    Piece,
    Utterance,
    parse_line,
    parse_utterance,
)
from fairseq_budget.errors import BudgetError
from tests.synthetic import write_tone_corpus

JOINED = Utterance((Piece("a.wav", 16_000, 8_000), Piece("b.wav", 0, 500)), 8_500)


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_manifest_survives_writing_and_reading(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path, [Utterance((Piece("x/ä b.flac"),), 7), JOINED])
    manifest.write(tmp_path / "data" / "train.tsv")
    assert Manifest.read(tmp_path / "data" / "train.tsv") == manifest


def test_format_is_fairseqs(tmp_path: Path) -> None:
    Manifest(tmp_path, [Utterance((Piece("a.wav"),), 7)]).write(tmp_path / "train.tsv")
    assert (tmp_path / "train.tsv").read_text() == f"{tmp_path}\na.wav\t7\n"


def test_pieces_are_joined_in_the_first_column() -> None:
    assert JOINED.name == "a.wav@16000+8000|b.wav@0+500"
    assert parse_utterance(JOINED.name, 8_500) == JOINED


def test_plain_path_stays_plain_whatever_signs_it_holds() -> None:
    utterance = parse_utterance("me@home/1+2|3.wav", 10)
    assert utterance.name == "me@home/1+2|3.wav"
    assert utterance.segments == (Piece("me@home/1+2|3.wav", 0, 10),)


def test_path_with_a_bar_cannot_be_a_piece() -> None:
    with pytest.raises(BudgetError, match="rename"):
        _ = Utterance((Piece("a|b.wav", 0, 5),), 5).name


@pytest.mark.parametrize(
    "name", ["a.wav@0+5|b.wav", "a.wav@0+5|", "a.wav@0+0", "a.wav@00+5", "a.wav@0+\u0665"]
)
def test_malformed_pieces_are_refused(name: str) -> None:
    with pytest.raises(BudgetError, match="does not read"):
        parse_utterance(name, 5)


def test_pieces_must_add_up_to_the_second_column() -> None:
    with pytest.raises(BudgetError, match="add up to 8500 samples, not 8501"):
        parse_utterance(JOINED.name, 8_501)


def test_window_takes_the_samples_of_every_piece_once() -> None:
    samples = [(p.path, p.start + i) for p in JOINED.pieces for i in range(p.num_samples or 0)]
    for start, length in [(0, 8_500), (7_990, 20), (0, 8_000), (8_000, 500), (8_499, 1)]:
        window = JOINED.window(start, length)
        taken = [(p.path, p.start + i) for p in window for i in range(p.num_samples or 0)]
        assert taken == samples[start : start + length]


def test_hash_ignores_the_root_but_not_the_utterances(tmp_path: Path) -> None:
    here = Manifest(tmp_path, [JOINED])
    assert here.hash == Manifest(tmp_path / "moved", [JOINED]).hash
    assert here.hash != Manifest(tmp_path, [JOINED, JOINED]).hash


def test_hash_ignores_line_ends_and_blank_lines_at_the_end(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.tsv", "/root\na.wav\t5\n")
    windows = write(tmp_path / "b.tsv", "/root\r\na.wav\t5\r\n\r\n")
    unended = write(tmp_path / "c.tsv", "/root\na.wav\t5")
    assert len({Manifest.read(path).hash for path in (plain, windows, unended)}) == 1


def test_header_of_other_tools_with_a_tab_at_its_end_is_read(tmp_path: Path) -> None:
    assert Manifest.read(write(tmp_path / "a.tsv", "/root\t\na.wav\t5\n")).root == Path("/root")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/root\na.wav\t5\nb.wav\t5\tspeaker\n", "line 3: 3 column"),
        ("/root\na.wav\t5\n/root\nb.wav\t5\n", "line 3: 1 column"),
        ("/root\na.wav\t5\n\nb.wav\t5\n", "line 3: 1 column"),
        ("a.wav\t5\nb.wav\t5\n", "line 1: .* no absolute root"),
        ("a/relative/root\nb.wav\t5\n", "line 1: .* no absolute root"),
        ("", "line 1: .* no absolute root"),
        ("/root\na.wav\t5.0\n", "line 2: '5.0' is no positive number"),
        ("/root\na.wav\t0\n", "line 2: '0' is no positive number"),
        ("/root\na.wav\t-5\n", "line 2: '-5' is no positive number"),
        (f"/root\na.wav\t{'9' * 5000}\n", "line 2: '9+' is no positive number"),
        (f"/root\na.wav\t{10**12}\n", "line 2: '1000000000000' is no positive number"),
        ("/root\na.wav\t007\n", "line 2: '007' is no positive number"),
        ("/root\na.wav\t5 \n", "line 2: '5 ' is no positive number"),
        ("/root\na\0.wav\t5\n", "line 2: .* is no path"),
        ("/root\n\t5\n", "line 2: '' is no path"),
        ("/root\na.wav\t\n", "line 2: '' is no positive number"),
        ("/root\na.wav@0+5|b.wav@0+5\t9\n", "line 2: .* add up to 10 samples, not 9"),
        ("/root\n", "holds no utterances"),
    ],
)
def test_bad_manifest_names_file_line_and_cure(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "train.tsv", text)
    with pytest.raises(BudgetError, match=message) as caught:
        Manifest.read(path)
    assert str(path) in str(caught.value)
    assert ";" in str(caught.value)  # the cure follows


@given(st.binary())
def test_any_line_at_all_is_an_utterance_or_an_error_of_the_user(line: bytes) -> None:
    with contextlib.suppress(BudgetError):
        utterance = parse_line(line, path="train.tsv", number=2)
        assert utterance.num_samples > 0
        assert line.rstrip(b"\r\n") == f"{utterance.name}\t{utterance.num_samples}".encode()


def test_manifest_that_is_not_utf8_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_bytes(b"/root\n\xff.wav\t5\n")
    with pytest.raises(BudgetError, match="line 2"):
        Manifest.read(tmp_path / "train.tsv")


def test_missing_manifest_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="cannot read the manifest"):
        Manifest.read(tmp_path / "train.tsv")


def test_failed_writing_leaves_the_old_manifest(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    Manifest(tmp_path, [JOINED]).write(path)
    before = path.read_bytes()
    with pytest.raises(BudgetError):
        Manifest(tmp_path, [JOINED, Utterance((Piece("a|b.wav", 0, 5),), 5)]).write(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.fairseq
@pytest.mark.filterwarnings("ignore")  # fairseq's own
def test_stock_fairseq_reads_ours(tmp_path: Path) -> None:
    raw_audio = pytest.importorskip("fairseq.data.audio.raw_audio_dataset")
    hubert = pytest.importorskip("fairseq.data.audio.hubert_dataset")
    manifest = write_tone_corpus(tmp_path / "audio", 4)
    manifest.write(tmp_path / "train.tsv")
    sizes = [utterance.num_samples for utterance in manifest.utterances]

    dataset = raw_audio.FileAudioDataset(tmp_path / "train.tsv", sample_rate=16_000)
    assert dataset.sizes.tolist() == sizes
    assert [len(dataset[index]["source"]) for index in range(4)] == sizes

    root, names, _, total, read_sizes = hubert.load_audio(tmp_path / "train.tsv", None, None)
    assert (Path(root.strip()), total, read_sizes) == (manifest.root, 4, sizes)
    assert names == [utterance.name for utterance in manifest.utterances]
