"""The corpus: samples and columns of each line, and what does not fit together."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.audio.io import read_audio
from fairseq_budget.corpus.column import column_path, write_column
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from tests.synthetic import write_tone_corpus


@pytest.fixture
def tsv(tmp_path: Path) -> Path:
    """A manifest of five files and, as line 6, pieces of two of them."""
    manifest = write_tone_corpus(tmp_path / "audio", 5)
    first, second = (utterance.name for utterance in manifest.utterances[:2])
    joined = Utterance((Piece(first, 100, 900), Piece(second, 5_000, 600)), 1_500)
    Manifest(manifest.root, [*manifest.utterances, joined]).write(tmp_path / "train.tsv")
    return tmp_path / "train.tsv"


def test_corpus_agrees_with_the_manifest(tsv: Path) -> None:
    corpus, manifest = read_text(tsv), Manifest.read(tsv)
    assert corpus.sizes.dtype == np.int64
    assert corpus.sizes.tolist() == [utterance.num_samples for utterance in manifest.utterances]
    assert [corpus.utterance(i) for i in range(len(corpus))] == manifest.utterances
    assert [corpus.name(i) for i in range(len(corpus))] == [u.name for u in manifest.utterances]
    assert corpus.hash == manifest.hash


def test_whole_utterance_is_the_whole_file(tsv: Path) -> None:
    corpus = read_text(tsv)
    for index in range(5):
        samples = corpus.read(index)
        assert samples.dtype == np.float32
        assert samples.shape == (corpus.sizes[index],)
        assert np.array_equal(samples, read_audio(corpus.root / corpus.name(index)))


def test_joined_pieces_are_the_samples_of_their_files(tsv: Path) -> None:
    corpus = read_text(tsv)
    expected = np.concatenate([corpus.read(0)[100:1000], corpus.read(1)[5000:5600]])
    assert np.array_equal(corpus.read(5), expected)


@pytest.mark.parametrize(("start", "num_samples"), [(0, 900), (899, 2), (900, 600), (50, 1450)])
def test_window_is_a_slice_of_the_whole(tsv: Path, start: int, num_samples: int) -> None:
    corpus = read_text(tsv)
    for index in (0, 1, 5):
        expected = corpus.read(index)[start : start + num_samples]
        assert np.array_equal(corpus.read(index, start, num_samples), expected)


def test_window_decodes_nothing_else(tsv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def record(path: Path, start: int, num_samples: int) -> np.ndarray:
        asked.append((path.name, start, num_samples))
        return np.zeros(num_samples, dtype=np.float32)

    monkeypatch.setattr("fairseq_budget.corpus.corpus.read_audio", record)
    corpus = read_text(tsv)
    corpus.read(0, 10, 20)
    corpus.read(5, 850, 100)
    first, second = (Path(corpus.name(index)).name for index in (0, 1))
    assert asked == [(first, 10, 20), (first, 950, 50), (second, 5_000, 50)]


@pytest.mark.parametrize(("start", "num_samples"), [(-1, 5), (0, 1_501), (1_500, 1), (0, 0)])
def test_window_beyond_the_utterance_is_refused(tsv: Path, start: int, num_samples: int) -> None:
    with pytest.raises(BudgetError, match=r"line 7: .* has 1500"):
        read_text(tsv).read(5, start, num_samples)


def test_file_shorter_than_its_line_is_an_error(tsv: Path) -> None:
    text = tsv.read_text().splitlines()
    path, size = text[1].split("\t")
    text[1] = f"{path}\t{int(size) + 1}"
    tsv.write_text("\n".join(text))
    with pytest.raises(BudgetError, match="truncated"):
        read_text(tsv).read(0)


def test_index_beyond_the_corpus_ends_an_iteration(tsv: Path) -> None:
    with pytest.raises(IndexError):
        read_text(tsv).name(6)


def test_pickled_corpus_is_small_and_the_same(tsv: Path) -> None:
    write_column(tsv, "km", ["1 2"] * 6, rate=50)
    corpus = read_text(tsv, ("km",))
    pickled = pickle.dumps(corpus)
    copy = pickle.loads(pickled)
    assert len(pickled) < 500
    assert np.array_equal(copy.read(5), corpus.read(5))
    assert copy.columns["km"][5] == "1 2"


def test_manifest_that_changed_is_not_unpickled(tsv: Path) -> None:
    pickled = pickle.dumps(read_text(tsv))
    tsv.write_text("".join(tsv.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(BudgetError, match="has changed"):
        pickle.loads(pickled)


def test_files_that_are_there_pass_the_check(tsv: Path) -> None:
    read_text(tsv).check_files()


def test_manifest_that_points_at_missing_files_lists_five(tsv: Path) -> None:
    corpus = read_text(tsv)
    for index in range(5):
        (corpus.root / corpus.name(index)).unlink()
    with pytest.raises(BudgetError, match=r"5 of the 5 files .*; correct the root") as caught:
        corpus.check_files()
    assert all(corpus.name(index) in str(caught.value) for index in range(5))


def test_manifest_with_three_columns_is_refused(tsv: Path) -> None:
    tsv.write_text(tsv.read_text() + "a.wav\t5\tspeaker\n")
    with pytest.raises(BudgetError, match=r"train\.tsv, line 8: 3 column"):
        read_text(tsv)


def test_column_survives_writing_and_reading(tsv: Path) -> None:
    lines = ["0 1 2", "", "ä", "3", "4", ""]  # a transcript may be empty
    write_column(tsv, "ltr", iter(lines), rate=None)
    column = read_text(tsv, ["ltr"]).columns["ltr"]
    assert [column[index] for index in range(len(column))] == lines
    assert column.rate is None


def test_column_describes_itself(tsv: Path) -> None:
    path = write_column(tsv, "km", ["1"] * 6, rate=50)
    assert path == tsv.with_name("train.km") == column_path(tsv, "km")
    assert json.loads((tsv.parent / "train.km.json").read_text()) == {
        "name": "km",
        "rate": 50,
        "manifest": read_text(tsv).hash,
        "num_lines": 6,
        "sha256": hashlib.sha256(b"1\n" * 6).hexdigest(),
    }


def test_column_follows_a_corpus_that_moved(tsv: Path) -> None:
    write_column(tsv, "km", ["1"] * 6, rate=50)
    tsv.write_text("/elsewhere\n" + tsv.read_text().partition("\n")[2])
    assert read_text(tsv, ["km"]).columns["km"].rate == 50


def test_column_of_another_manifest_is_refused(tsv: Path) -> None:
    write_column(tsv, "km", ["1"] * 6, rate=50)
    root, *lines = tsv.read_text().splitlines()
    tsv.write_text("\n".join([root, *reversed(lines)]))
    with pytest.raises(BudgetError, match=r"train\.km was made for another manifest .*; write"):
        read_text(tsv, ["km"])


def test_column_with_lines_missing_is_refused(tsv: Path) -> None:
    path = write_column(tsv, "km", ["1"] * 6, rate=50)
    path.write_text("1\n" * 5)
    with pytest.raises(BudgetError, match=r"train\.km has 5 lines, .* 6 utterances; write"):
        read_text(tsv, ["km"])


@pytest.mark.parametrize("lost", ["train.km", "train.km.json"])
def test_column_without_one_of_its_files_is_refused(tsv: Path, lost: str) -> None:
    write_column(tsv, "km", ["1"] * 6, rate=50)
    (tsv.parent / lost).unlink()
    with pytest.raises(BudgetError, match=f"cannot read .*{lost}"):
        read_text(tsv, ["km"])


@pytest.mark.parametrize("lines", [["1"] * 5, ["1"] * 7, [], ["1", "2\n3", "4", "5", "6"]])
def test_failed_writing_leaves_the_old_column(tsv: Path, lines: list[str]) -> None:
    write_column(tsv, "km", ["1"] * 6, rate=50)
    with pytest.raises(BudgetError):
        write_column(tsv, "km", lines, rate=100)
    column = read_text(tsv, ["km"]).columns["km"]
    assert (column[5], column.rate) == ("1", 50)


def test_column_whose_writing_stopped_half_way_is_refused(
    tsv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_column(tsv, "km", ["1"] * 6, rate=100)

    def replace_text_only(source: str, target: Path) -> None:
        if target.suffix == ".json":
            raise KeyboardInterrupt
        Path(source).rename(target)

    monkeypatch.setattr("os.replace", replace_text_only)
    with pytest.raises(KeyboardInterrupt):
        write_column(tsv, "km", ["2"] * 6, rate=50)
    with pytest.raises(BudgetError, match="cannot read"):
        read_text(tsv, ["km"])
