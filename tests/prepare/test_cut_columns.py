"""Labels and segments of pieces are those of their frames; files hold the samples of the pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.corpus.column import Column, write_column
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.segments import open_segments, write_segments
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.prepare.cut_columns import cut_column, write_length_set
from fairseq_budget.prepare.length_sets import LengthSets, plan_length_sets
from fairseq_budget.prepare.speakers import find_speaker_rule
from fairseq_budget.prepare.write_audio import write_files
from tests.synthetic import write_tone_corpus

RULE = find_speaker_rule(["a/1", "b/1"])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Labels that name their utterance and frame, at 50 and 100 Hz; a segment every 7 frames."""
    path = tmp_path / "data/train.tsv"
    manifest = write_tone_corpus(tmp_path / "audio", 12)
    manifest.write(path)
    sizes = [utterance.num_samples for utterance in manifest.utterances]
    frames = [num_frames(size) for size in sizes]
    names = [[1000 * i + t for t in range(n)] for i, n in enumerate(frames)]
    write_column(path, "km", (" ".join(map(str, own)) for own in names), 50.0)
    fine = ([2000 * i + t for t in range((n - 400) // 160 + 1)] for i, n in enumerate(sizes))
    write_column(path, "mfcc", (" ".join(map(str, own)) for own in fine), 100.0)
    write_segments(path, ([*range(7, n, 7), n] for n in frames), kind="table")
    write_column(path, "text", map(str, range(12)), None)
    (path.parent / "dict.km.txt").write_text("0 1\n")
    return path


def plan(source: Path) -> LengthSets:
    return plan_length_sets(Manifest.read(source), [0.5, 2], rule=RULE, seed=1)


def cut(source: Path, tmp_path: Path, seconds: float) -> Path:
    path = tmp_path / f"{seconds:g}s/train.tsv"
    assert write_length_set(source, path, plan(source), seconds)[1] == ["km", "mfcc", "seg"]
    return path


def starts(corpus: Corpus, index: int) -> list[tuple[str, int]]:
    """The file and the sample at which each frame of an utterance starts."""
    whole = [(p.path, p.start + i * 320) for p in corpus.utterance(index).segments
             for i in range((p.num_samples or 0) // 320)]  # fmt: skip
    return whole[: num_frames(int(corpus.sizes[index]))]


@pytest.mark.parametrize("seconds", [0.5, 2])
def test_labels_of_pieces_are_those_of_their_frames(
    source: Path, tmp_path: Path, seconds: float
) -> None:
    whole, corpus = read_text(source), read_text(cut(source, tmp_path, seconds), ["km"])
    names = [whole.name(i) for i in range(len(whole))]
    for index in range(len(corpus)):
        expected = [1000 * names.index(p) + start // 320 for p, start in starts(corpus, index)]
        assert corpus.columns["km"].numbers(index).tolist() == expected
    assert (tmp_path / f"{seconds:g}s/dict.km.txt").exists()


def test_labels_at_100_hz_are_twice_as_many_and_as_many_as_mfcc_frames(
    source: Path, tmp_path: Path
) -> None:
    corpus = read_text(cut(source, tmp_path, 2), ["km", "mfcc"])
    for index in range(len(corpus)):
        coarse, fine = (corpus.columns[name].numbers(index) for name in ("km", "mfcc"))
        assert np.array_equal(fine[::2], 2 * coarse)
        assert len(fine) == (corpus.sizes[index] - 400) // 160 + 1


def test_segments_of_pieces_end_where_the_sources_do_and_at_joins(
    source: Path, tmp_path: Path
) -> None:
    path = cut(source, tmp_path, 2)
    segments, corpus = open_segments(path.parent, "train"), read_text(path)
    for index in range(len(corpus)):
        begins = starts(corpus, index)
        expected = [
            t
            for t in range(1, len(begins))
            if begins[t][0] != begins[t - 1][0] or begins[t][1] // 320 % 7 == 0
        ]
        assert segments.ends(index).tolist() == [*expected, len(begins)]


def test_labels_that_are_too_few_are_refused(source: Path, tmp_path: Path) -> None:
    write_column(source, "km", ("1 2 3" for _ in range(12)), 50.0)
    with pytest.raises(BudgetError, match=r"km, line \d+: 3 labels at 50 Hz are too few"):
        write_length_set(source, tmp_path / "cut/train.tsv", plan(source), 2)


def test_labels_of_another_manifest_are_refused(source: Path, tmp_path: Path) -> None:
    sets = plan(source)
    Manifest(sets.manifest.root, sets.manifest.utterances[1:]).write(source)
    with pytest.raises(BudgetError, match="made for another manifest"):
        write_length_set(
            source,
            tmp_path / "cut/train.tsv",
            plan_length_sets(Manifest.read(source), [2], rule=RULE, seed=1),
            2,
        )


def test_files_hold_the_samples_and_the_labels_of_the_pieces(source: Path, tmp_path: Path) -> None:
    path = cut(source, tmp_path, 2)
    made = write_files(path, tmp_path / "flac", RULE.speaker_of)
    pieces, files = read_text(path, ["km"]), read_text(made, ["km", "seg"])
    assert len(files) == len(pieces) > 3
    for index in range(len(files)):
        assert np.array_equal(files.read(index), pieces.read(index))
        assert files.columns["km"][index] == pieces.columns["km"][index]
        speaker = pieces.utterance(index).pieces[0].path.split("/")[0]
        assert files.name(index) == f"train/{speaker}/{index:07}.flac"


def test_files_that_are_there_are_kept_and_those_of_another_cut_refused(
    source: Path, tmp_path: Path
) -> None:
    path, folder = cut(source, tmp_path, 2), tmp_path / "flac"
    made = write_files(path, folder, RULE.speaker_of)
    first, second, *_ = sorted(folder.rglob("*.flac"))
    first.unlink()
    made.unlink()
    before = second.stat().st_mtime_ns
    assert write_files(path, folder, RULE.speaker_of) == made
    assert first.exists()
    assert second.stat().st_mtime_ns == before
    with pytest.raises(BudgetError, match="another cut"):
        write_files(cut(source, tmp_path, 0.5), folder, RULE.speaker_of)


def test_lines_are_those_that_reading_each_piece_alone_gives(source: Path) -> None:
    whole = Manifest.read(source)
    sets = plan_length_sets(whole, [0.2, 0.7], rule=RULE, seed=1)
    rows = sets.cut(0.2)
    rows = [*rows[::2], *rows[1::2]]  # pieces of an utterance do not follow one another
    for name in ("km", "seg"):
        column = Column.open(source, name, whole.hash, len(whole.utterances))
        alone = [line for spans in rows for line in cut_column(column, [spans])]
        assert list(cut_column(column, rows)) == alone
        assert len(set(alone)) > 1
