"""Who says what in which split."""

from __future__ import annotations

from collections import defaultdict

import pytest

from fairseq_budget.demo.script import MAX_COMMANDS, Line, write_script

SPLITS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def script() -> list[Line]:
    return write_script(num_speakers=8, num_sentences=480, num_commands=48, seed=1)


def test_sentences_are_all_different_and_use_under_a_hundred_words(script: list[Line]) -> None:
    sentences = [line.transcript for line in script if line.command is None]
    assert len(set(sentences)) == len(sentences) == 480
    assert 60 <= len({word for sentence in sentences for word in sentence.split()}) <= 100
    assert {len(sentence.split()) for sentence in sentences} == set(range(5, 13))


def test_no_transcript_of_one_split_is_in_another(script: list[Line]) -> None:
    said = {split: {line.transcript for line in script if line.split == split} for split in SPLITS}
    assert not said["train"] & said["valid"]
    assert not said["train"] & said["test"]
    assert not said["valid"] & said["test"]


def test_every_speaker_and_every_command_is_in_every_split(script: list[Line]) -> None:
    for split in SPLITS:
        lines = [line for line in script if line.split == split]
        assert {line.speaker for line in lines} == set(range(8))
        assert len({line.command for line in lines} - {None}) == 48


def test_every_speaker_gives_every_command_once_and_names_its_slots(script: list[Line]) -> None:
    speakers = defaultdict(list)
    for line in script:
        if line.command:
            speakers[line.command].append(line.speaker)
            slots = {line.command.action, line.command.object, line.command.location}
            assert slots <= set(line.transcript.split())
    assert set(map(tuple, speakers.values())) == {tuple(range(8))}


def test_the_seed_decides_the_script() -> None:
    def script(seed: int) -> list[Line]:
        return write_script(num_speakers=3, num_sentences=9, num_commands=MAX_COMMANDS, seed=seed)

    assert script(4) == script(4)
    assert script(4) != script(5)
