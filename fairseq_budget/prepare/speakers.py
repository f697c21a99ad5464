"""Who speaks in a file, from its path or its name in an archive."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.errors import BudgetError

_LIBRISPEECH = re.compile(r"(?:.*/)?(\d+)-\d+-\d+\.\w+")  # speaker-chapter-utterance.flac

ONE_SPEAKER = "one speaker for all"


@dataclass(frozen=True)
class SpeakerRule:
    """How the speaker of a path is found, and in words."""

    description: str
    speaker_of: Callable[[str], str]


def find_speaker_rule(paths: Sequence[str], pattern: str | None = None) -> SpeakerRule:
    """The first group of `pattern`, else the rule that `paths` suggest.

    LibriSpeech names (``speaker-chapter-utterance``) if all are, else the parent folder if there is
    more than one, else one speaker for all. Raises BudgetError for a pattern that is no regular
    expression with a group.
    """
    if pattern is not None:
        return SpeakerRule(f"first group of {pattern}", _group_of(pattern))
    if all(_LIBRISPEECH.fullmatch(path) for path in paths):
        return SpeakerRule("LibriSpeech file names", _group_of(_LIBRISPEECH.pattern))
    if len({_parent(path) for path in paths}) > 1:
        return SpeakerRule("parent folder", _parent)
    return SpeakerRule(ONE_SPEAKER, lambda _: "")


def order_by_speaker(manifest: Manifest, *, rule: SpeakerRule, seed: int) -> dict[str, list[int]]:
    """The utterances of each speaker, by index, in a random order; speakers are sorted.

    The order is a function of the seed and the speaker alone.
    """
    by_speaker: dict[str, list[int]] = defaultdict(list)
    for index, utterance in enumerate(manifest.utterances):
        by_speaker[rule.speaker_of(utterance.pieces[0].path)].append(index)
    order = {}
    for speaker, indices in sorted(by_speaker.items()):
        generator = np.random.default_rng([seed, zlib.crc32(speaker.encode())])
        order[speaker] = generator.permutation(indices).tolist()
    return order


def _parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _group_of(pattern: str) -> Callable[[str], str]:
    """A function from a path to what the first group of `pattern` finds in it."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BudgetError(f"{pattern!r} is no regular expression: {error}") from error
    if compiled.groups == 0:
        raise BudgetError(f"{pattern!r} has no group; put parentheses around the speaker")

    def find(path: str) -> str:
        match = compiled.search(path)
        if match is None or match[1] is None:
            raise BudgetError(f"{pattern!r} finds no speaker in {path!r}; correct the pattern")
        return match[1]

    return find


def find_named_speakers(
    manifest: Manifest, names: Mapping[str, str], pattern: str | None
) -> SpeakerRule:
    """As `find_speaker_rule`, for names: a function of paths still."""
    paths = [utterance.pieces[0].path for utterance in manifest.utterances]
    rule = find_speaker_rule([names.get(path, path) for path in paths], pattern)
    return replace(rule, speaker_of=lambda path: rule.speaker_of(names.get(path, path)))
