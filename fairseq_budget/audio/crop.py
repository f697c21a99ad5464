"""Utterances of one fixed duration, for the study of sequence lengths; no audio is touched.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio" trains on copies of LibriSpeech whose utterances are about 1, 5, 10 or 15 seconds long. The
paper leaves open which utterances are joined. Differs: here they are of one speaker, and every
utterance is exactly as long as asked for.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from fairseq_budget.errors import BudgetError
from fairseq_budget.manifest import Manifest, Piece, Utterance

_LIBRISPEECH = re.compile(r"(?:.*/)?(\d+)-\d+-\d+\.\w+")  # speaker-chapter-utterance.flac

ONE_SPEAKER = "one speaker for all"


@dataclass(frozen=True)
class SpeakerRule:
    """How the speaker of a path is found, and in words."""

    description: str
    speaker_of: Callable[[str], str]


@dataclass(frozen=True)
class Cut:
    """A manifest of equally long utterances, and how many samples were left over, of how many."""

    manifest: Manifest
    num_speakers: int
    num_samples_left_out: int


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
    return SpeakerRule(ONE_SPEAKER, lambda path: "")


def cut_manifest(manifest: Manifest, num_samples: int, *, rule: SpeakerRule, seed: int) -> Cut:
    """Join each speaker's utterances and cut them into utterances of exactly `num_samples`.

    The order in which a speaker's utterances are joined is a function of the seed and the speaker
    alone. What remains of a speaker, less than `num_samples`, is left out. Raises BudgetError if
    nothing is left.
    """
    by_speaker = order_by_speaker(manifest, rule=rule, seed=seed)
    cut = [
        piece
        for indices in by_speaker.values()
        for piece in join_and_cut((manifest.utterances[i] for i in indices), num_samples)
    ]
    total = sum(utterance.num_samples for utterance in manifest.utterances)
    if not cut:
        raise BudgetError(
            f"no speaker has {num_samples} samples, and the whole manifest has {total}; "
            "ask for shorter utterances"
        )
    return Cut(Manifest(manifest.root, cut), len(by_speaker), total - len(cut) * num_samples)


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


def join_and_cut(utterances: Iterable[Utterance], num_samples: int) -> list[Utterance]:
    """Cut the utterances, joined in their order, every `num_samples` samples.

    The remainder is dropped. With 300 samples of ``a`` and 200 of ``b``, cut every 200::

        a@0+200     a@200+100|b@0+100     (b@100+100 is left)
    """
    cut: list[Utterance] = []
    pieces: list[Piece] = []
    missing = num_samples
    for segment in (segment for utterance in utterances for segment in utterance.segments):
        start, left = segment.start, segment.num_samples or 0
        while left:
            taken = min(left, missing)
            pieces.append(Piece(segment.path, start, taken))
            start, left, missing = start + taken, left - taken, missing - taken
            if not missing:
                cut.append(Utterance(tuple(pieces), num_samples))
                pieces, missing = [], num_samples
    return cut


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
