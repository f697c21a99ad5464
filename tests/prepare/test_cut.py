"""Joining and cutting: every sample once, none of two speakers, none made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.prepare.cut import cut_manifest, join_and_cut
from fairseq_budget.prepare.speakers import find_speaker_rule

RULE = find_speaker_rule([], r"^(\w)/")


def utterance(path: str, num_samples: int) -> Utterance:
    return Utterance((Piece(path),), num_samples)


def samples(utterances: list[Utterance]) -> list[tuple[str, int]]:
    """Every (file, sample) that the utterances hold, in order."""
    segments = (segment for utt in utterances for segment in utt.segments)
    return [(s.path, s.start + i) for s in segments for i in range(s.num_samples or 0)]


@pytest.fixture
def manifest() -> Manifest:
    generator = np.random.default_rng(0)
    lengths = generator.integers(5, 40, size=20).tolist()
    return Manifest(
        Path("/root"), [utterance(f"{'ab'[i % 2]}/{i}.wav", n) for i, n in enumerate(lengths)]
    )


def test_docstring_example() -> None:
    cut = join_and_cut([utterance("a", 300), utterance("b", 200)], 200)
    assert [utt.name for utt in cut] == ["a@0+200", "a@200+100|b@0+100"]


@pytest.mark.parametrize("num_samples", [1, 7, 40, 100])
def test_cutting_keeps_the_order_and_every_sample(manifest: Manifest, num_samples: int) -> None:
    before = samples(list(manifest.utterances))
    cut = join_and_cut(manifest.utterances, num_samples)
    assert all(utt.num_samples == num_samples for utt in cut)
    assert samples(cut) == before[: len(before) // num_samples * num_samples]


def test_pieces_can_be_joined_again(manifest: Manifest) -> None:
    once = join_and_cut(manifest.utterances, 10)
    assert samples(join_and_cut(once, 30)) == samples(once)[: len(once) // 3 * 30]


def test_utterances_have_one_speaker_each(manifest: Manifest) -> None:
    cut = cut_manifest(manifest, 50, rule=RULE, seed=1)
    assert cut.num_speakers == 2
    assert cut.manifest.root == manifest.root
    for utt in cut.manifest.utterances:
        assert len({piece.path[0] for piece in utt.pieces}) == 1


def test_speakers_follow_each_other_in_sorted_order(manifest: Manifest) -> None:
    backwards = Manifest(manifest.root, manifest.utterances[::-1])
    cut = cut_manifest(backwards, 50, rule=RULE, seed=1).manifest.utterances
    speakers = [utt.pieces[0].path[0] for utt in cut]
    assert speakers == sorted(speakers)
    assert set(speakers) == {"a", "b"}


def test_left_out_samples_are_counted(manifest: Manifest) -> None:
    cut = cut_manifest(manifest, 50, rule=RULE, seed=1)
    kept = samples(list(cut.manifest.utterances))
    assert len(kept) == len(set(kept))
    assert len(kept) + cut.num_samples_left_out == len(samples(list(manifest.utterances)))
    assert cut.num_samples_left_out < 2 * 50


def test_order_is_a_function_of_the_seed(manifest: Manifest) -> None:
    first, again, other = (cut_manifest(manifest, 50, rule=RULE, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.manifest.utterances != other.manifest.utterances


def test_order_of_a_speaker_does_not_depend_on_the_others(manifest: Manifest) -> None:
    alone = Manifest(manifest.root, [u for u in manifest.utterances if u.name.startswith("b")])
    both = cut_manifest(manifest, 50, rule=RULE, seed=1).manifest.utterances
    expected = [utt for utt in both if utt.name.startswith("b")]
    assert cut_manifest(alone, 50, rule=RULE, seed=1).manifest.utterances == expected


def test_too_long_utterances_are_refused(manifest: Manifest) -> None:
    with pytest.raises(BudgetError, match="shorter"):
        cut_manifest(manifest, 10**6, rule=RULE, seed=1)


@pytest.mark.parametrize(
    ("paths", "pattern", "speakers"),
    [
        (["84/12/84-12-0001.flac", "85/12/85-12-0001.flac"], None, ["84", "85"]),
        (["84-12-0001.flac", "84-13-0001.flac"], None, ["84", "84"]),
        (["ann/1.wav", "bob/1.wav"], None, ["ann", "bob"]),
        (["1.wav", "2.wav"], None, ["", ""]),
        (["x/ann_1.wav", "x/bob_1.wav"], r"(\w+)_\d", ["ann", "bob"]),
    ],
)
def test_speaker_comes_from_the_path(
    paths: list[str], pattern: str | None, speakers: list[str]
) -> None:
    rule = find_speaker_rule(paths, pattern)
    assert [rule.speaker_of(path) for path in paths] == speakers


@pytest.mark.parametrize("pattern", ["(", "no group", "(nothing)"])
def test_useless_pattern_is_refused(manifest: Manifest, pattern: str) -> None:
    with pytest.raises(BudgetError, match=r"regular expression|parentheses|finds no speaker"):
        cut_manifest(manifest, 5, rule=find_speaker_rule([], pattern), seed=1)
