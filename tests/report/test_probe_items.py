"""What probes are asked about: bounded, from the seed, and held out by speaker or utterance."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.corpus.manifest import Manifest, parse_utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.prepare.speakers import find_speaker_rule
from fairseq_budget.report import probe_items
from fairseq_budget.report.probe_items import (
    Drawn,
    Item,
    answerable,
    bounded,
    draw_utterances,
    most_frequent,
    span_items,
    speaker_items,
)


def manifest_of(*names: str, num_samples: int = 16000) -> Manifest:
    return Manifest(Path("/audio"), [parse_utterance(name, num_samples) for name in names])


def many(num_speakers: int, num_utterances: int) -> Manifest:
    speakers, utterances = range(num_speakers), range(num_utterances)
    return manifest_of(*(f"s{s:02}/{u:02}.wav" for s in speakers for u in utterances))


def draw(manifest: Manifest, hours: float = 1, seed: int = 0) -> list[Drawn]:
    rule = find_speaker_rule([utterance.name for utterance in manifest.utterances])
    return draw_utterances(manifest, rule, hours, seed)


def items(labels: str, is_test: str = "") -> list[Item]:
    tests = is_test or "." * len(labels)
    return [
        Item(i, 0, 1, x, "", t == "x") for i, (x, t) in enumerate(zip(labels, tests, strict=True))
    ]


def test_hours_are_of_few_speakers_in_turn():
    drawn = draw(many(30, 10), hours=40 / 3600)
    speakers = [utterance.speaker for utterance in drawn]
    assert len(drawn) == 40
    assert {speakers.count(speaker) for speaker in speakers} == {2}
    assert len(set(speakers)) == probe_items.MAX_SPEAKERS


def test_a_draw_follows_from_the_seed():
    assert draw(many(30, 2), seed=1) == draw(many(30, 2), seed=1)
    assert draw(many(30, 2), seed=1) != draw(many(30, 2), seed=2)


def test_content_is_tested_on_other_speakers_and_speakers_in_other_utterances():
    drawn = draw(many(5, 8))
    learnt = {utterance.speaker for utterance in drawn if not utterance.tests_content}
    tested = {utterance.speaker for utterance in drawn if utterance.tests_content}
    assert (len(learnt), len(tested)) == (4, 1)
    for speaker in learnt | tested:
        own = [u.tests_speakers for u in drawn if u.speaker == speaker]
        assert sorted(own) == [False] * 6 + [True] * 2


def test_content_of_one_speaker_is_tested_on_other_utterances():
    drawn = draw(manifest_of("a.wav", "b.wav", "c.wav"))
    assert sum(utterance.tests_content for utterance in drawn) == 1
    rule = find_speaker_rule(["a.wav", "b.wav"])
    assert speaker_items(drawn, rule) == []


def test_utterances_below_a_frame_are_left_out_and_long_ones_are_cut(monkeypatch):
    monkeypatch.setattr(probe_items, "MAX_SAMPLES", 1000)
    assert [u.num_samples for u in draw(manifest_of("a/a.wav", "b/b.wav"))] == [1000, 1000]
    with pytest.raises(BudgetError, match="no utterance of the manifest is as long as a frame"):
        draw(manifest_of("a/a.wav", num_samples=399))


def test_phones_have_their_neighbours_and_silences_are_none():
    manifest = manifest_of("a.wav")
    spans = [(0.0, 0.1, "sil"), (0.1, 0.2, "k"), (0.2, 0.3, "a"), (0.4, 0.5, "t")]
    found = span_items([Drawn(0, "x", 16000, False, True)], manifest, lambda _: spans)
    assert [(item.label, item.context) for item in found] == [
        ("k", ("sil", "a")), ("a", ("k", "")), ("t", ("", "")),
    ]  # fmt: skip
    assert (found[0].start, found[0].stop) == (1600, 3200)
    assert all(item.is_test for item in found)


def test_phones_without_the_middle_of_a_frame_or_beyond_what_is_heard_are_left_out():
    manifest = manifest_of("a.wav")
    spans = [(0.0, 0.012, "k"), (0.012, 0.013, "a"), (0.5, 0.7, "t")]
    found = span_items([Drawn(0, "x", 9600, False, False)], manifest, lambda _: spans)
    assert [item.label for item in found] == ["a"]  # the first frame's middle is at 12.5 ms


def test_phones_that_pieces_cut_are_left_out_and_others_keep_their_place():
    manifest = manifest_of("b.wav@0+8000|a.wav@8000+8000")
    spans = {"a.wav": [(0.4, 0.6, "k"), (0.6, 0.8, "a")], "b.wav": [(0.1, 0.2, "t")]}
    found = span_items([Drawn(0, "x", 16000, False, False)], manifest, spans.__getitem__)
    assert [(i.label, i.start, i.stop) for i in found] == [("t", 1600, 3200), ("a", 9600, 12800)]


def test_the_commonest_words_are_kept_and_equals_by_name():
    assert [item.label for item in most_frequent(items("abcbcd"), 2)] == list("bcbc")
    assert [item.label for item in most_frequent(items("dcba"), 2)] == list("ba")


def test_a_bound_keeps_items_in_their_order():
    kept = bounded(items("abcdefghij"), 4, seed=0)
    assert kept == sorted(kept, key=lambda item: item.utterance)
    assert len(kept) == 4
    assert bounded(items("ab"), 4, seed=0) == items("ab")


def test_labels_that_are_not_learnt_are_not_tested():
    assert [item.label for item in answerable(items("abac", "..xx"))] == list("aba")
    assert answerable(items("ab", "..")) == []
    assert answerable(items("aa", ".x")) == []
