"""wav2vec-U units find their way back into the whole utterance."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.segmentation.wav2vecu import unit_ends, unit_times

UNIT = 960  # samples


def times(units, speech):
    return np.round(unit_times(list(units), np.array(speech), 0.06) * 16000).astype(int).tolist()


def test_a_change_of_unit_is_a_boundary():
    assert times("aaabb", [[0, 5 * UNIT]]) == [0, 3 * UNIT, 5 * UNIT]


def test_boundaries_move_past_the_silence_that_was_cut():
    speech = [[1000, 1000 + 2 * UNIT], [9000, 9000 + 3 * UNIT]]
    expected = [1000, 1000 + UNIT, 1000 + 2 * UNIT, 9000, 9000 + UNIT, 9000 + 3 * UNIT]
    assert times("abbcc", speech) == expected


def test_equal_units_never_merge_across_a_cut():
    assert times("aaaa", [[0, 2 * UNIT], [5000, 5000 + 2 * UNIT]]) == [
        0, 2 * UNIT, 5000, 5000 + 2 * UNIT,
    ]  # fmt: skip


def test_there_is_no_boundary_inside_silence():
    rng = np.random.default_rng(0)
    for _ in range(50):
        speech = np.sort(rng.choice(np.arange(100_000), 8, replace=False)).reshape(-1, 2)
        num_units = (speech[:, 1] - speech[:, 0]).sum() // UNIT
        found = times(rng.integers(0, 3, num_units), speech)
        assert set(speech.ravel().tolist()) <= set(found)
        assert all(any(a <= time <= b for a, b in speech) for time in found)


def test_mapping_there_and_back_keeps_the_durations_of_speech():
    rng = np.random.default_rng(1)
    speech = np.sort(rng.choice(np.arange(100_000), 6, replace=False)).reshape(-1, 2)
    units = rng.integers(0, 2, (speech[:, 1] - speech[:, 0]).sum() // UNIT)
    found = np.array(times(units, speech))
    spoken = np.clip(found[:, None] - speech[:, 0], 0, speech[:, 1] - speech[:, 0]).sum(1)
    changes = (np.flatnonzero(np.diff(units)) + 1) * UNIT
    assert set(changes.tolist()) <= set(spoken.tolist())


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    sizes = (10 * UNIT, 20 * UNIT)
    utterances = [Utterance((Piece(f"{size}.wav"),), size) for size in sizes]
    Manifest(tmp_path, utterances).write(tmp_path / "train.tsv")
    return read_text(tmp_path / "train.tsv")


def ends(corpus, units, vad):
    folder = corpus.path.parent
    (folder / "units").write_text(units)
    (folder / "vad").write_text(vad)
    return [row.tolist() for row in unit_ends(corpus, folder / "units", folder / "vad")]


def test_each_line_becomes_ends_in_frames(corpus):
    speech = f"{4 * UNIT}:{8 * UNIT} {16 * UNIT}:{18 * UNIT}\n"
    found = ends(corpus, "a a a a b b b b b b\na a b b c c\n", "\n" + speech)
    assert found == [[12, 29], [12, 18, 24, 48, 54, 59]]  # an empty line: all is speech


@pytest.mark.parametrize(
    ("units", "vad", "message"),
    [
        ("a\n", "\n\n", "units has 1 lines, but the manifest has 2 utterances"),
        ("a a\n" * 2, "\n\n", r"units, line 1: the units are shorter than the speech: 0.12 s"),
        ("a " * 12 + "\na", "\n\n", r"units, line 1: the units are longer .*--unit-rate-ms"),
        ("a " * 10 + "\na", "\n0:200000\n", "vad, line 2: speech ends at sample 200000, after"),
        ("a " * 10 + "\na", "\n900:800\n", "vad, line 2: speech intervals overlap or are out of"),
        ("a " * 10 + "\na", "\n9:80 70:90\n", "vad, line 2: speech intervals overlap"),
        ("a " * 10 + "\na", "\n0.5 0.7\n", r"vad, line 2: '0.5 0.7'; expected speech intervals"),
        ("a " * 10 + "\na", f"\n0:{10**30}\n", r"vad, line 2: .*expected speech intervals"),
        ("a " * 10 + "\na", "\n1:2:3 4\n", r"vad, line 2: .*expected speech intervals"),
    ],
)
def test_files_that_do_not_fit_are_errors(corpus, units, vad, message):
    with pytest.raises(BudgetError, match=message):
        ends(corpus, units, vad)


def test_a_missing_file_is_an_error(corpus, tmp_path):
    with pytest.raises(BudgetError, match="cannot read"):
        list(unit_ends(corpus, tmp_path / "none", tmp_path / "none"))
