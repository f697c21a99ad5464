"""Nested subsets with their columns, and columns that no longer fit."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.corpus.column import column_names, remove_stale_columns, write_column
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.prepare.subset import choose_hours, write_subset

HOUR = 3600 * 16_000


def manifest(num_utterances: int = 500, seed: int = 0) -> Manifest:
    """Utterances of 2 to 30 s, without any audio."""
    sizes = np.random.default_rng(seed).integers(32_000, 480_000, num_utterances)
    return Manifest(
        Path("/speech"),
        [Utterance((Piece(f"{i:04}.wav"),), int(size)) for i, size in enumerate(sizes)],
    )


def totals(whole: Manifest, chosen: dict) -> dict[float, int]:
    return {h: sum(whole.utterances[i].num_samples for i in own) for h, own in chosen.items()}


@pytest.fixture
def source(tmp_path) -> Path:
    """A manifest of 40 utterances with labels and a transcript that name their utterance."""
    path = tmp_path / "data/train.tsv"
    manifest(40).write(path)
    write_column(path, "km", (f"{i} {i}" for i in range(40)), 50.0, more={"centroids": "abc"})
    write_column(path, "text", (f"utterance {i}" for i in range(40)), None)
    (path.parent / "dict.km.txt").write_text("0 1\n")
    (path.parent / "labels.json").write_text("{}")
    return path


def test_each_subset_contains_the_smaller_ones():
    chosen = choose_hours(manifest(), [0.1, 0.5, 1, 2], seed=1)
    assert all(set(small) < set(large) for small, large in pairwise(chosen.values()))
    assert all(list(own) == sorted(own) for own in chosen.values())


def test_totals_are_right_to_one_utterance():
    whole = manifest()
    for seed in range(5):
        found = totals(whole, choose_hours(whole, [0.02, 0.1, 0.5, 1, 2], seed=seed))
        for hours, total in found.items():
            assert abs(total - hours * HOUR) <= 480_000 / 2


def test_the_smallest_subset_is_one_utterance():
    (own,) = choose_hours(manifest(), [1e-9], seed=1).values()
    assert len(own) == 1


def test_another_seed_draws_others_and_the_same_seed_the_same():
    first, again, other = (choose_hours(manifest(), [1], seed=seed)[1] for seed in (1, 1, 2))
    assert list(first) == list(again) != list(other)


def test_order_of_the_manifest_changes_nothing():
    whole = manifest()
    reverse = Manifest(whole.root, whole.utterances[::-1])
    names = {
        frozenset(m.utterances[i].name for i in choose_hours(m, [1], seed=1)[1])
        for m in (whole, reverse)
    }
    assert len(names) == 1


def test_more_hours_than_there_are_is_an_error_with_the_number():
    with pytest.raises(BudgetError, match=r"100 hours .* the manifest has 2\.\d+"):
        choose_hours(manifest(), [1, 100], seed=1)


def test_columns_go_with_their_utterances(source, tmp_path):
    path = tmp_path / "subset/train.tsv"
    assert write_subset(source, path, [3, 7, 31]) == ["km", "text"]
    corpus = read_text(path, ["km", "text"])
    assert [corpus.name(i) for i in range(3)] == ["0003.wav", "0007.wav", "0031.wav"]
    assert [corpus.columns["km"][i] for i in range(3)] == ["3 3", "7 7", "31 31"]
    assert corpus.columns["text"][2] == "utterance 31"
    assert corpus.columns["km"].rate == 50.0
    assert corpus.columns["km"].description["centroids"] == "abc"
    assert (path.parent / "dict.km.txt").read_text() == "0 1\n"
    assert (path.parent / "labels.json").exists()


def test_a_column_of_another_manifest_is_never_carried(source, tmp_path):
    manifest(40, seed=1).write(source)
    with pytest.raises(BudgetError, match=r"train\.km was made for another manifest"):
        write_subset(source, tmp_path / "subset/train.tsv", [0])
    assert not (tmp_path / "subset").exists()


def test_stale_columns_are_removed_and_fitting_ones_kept(source):
    assert remove_stale_columns(source) == []
    manifest(39).write(source)
    write_column(source, "text", ("new" for _ in range(39)), None)
    assert remove_stale_columns(source) == [source.with_suffix(".km")]
    assert column_names(source) == ["text"]
    assert not source.with_name("train.km.json").exists()


def test_a_damaged_description_counts_as_stale(source):
    source.with_name("train.km.json").write_text("{")
    assert remove_stale_columns(source) == [source.with_suffix(".km")]


def test_columns_of_a_neighbour_are_left_alone(source):
    neighbour = source.with_name("train.clean.tsv")
    manifest(5).write(neighbour)
    neighbour.with_suffix(".km").write_text("0\n" * 5)
    neighbour.with_name("train.clean.km.json").write_text(json.dumps({"manifest": "x"}))
    manifest(39).write(source)
    remove_stale_columns(source)
    assert neighbour.with_suffix(".km").exists()
