"""What probes are asked about: phones, words and utterances, with labels, of a bounded draw.

At most `MAX_SPEAKERS` speakers are drawn and their utterances taken in turn, so that few hours
hold several utterances of each. Probes of phones and words are tested on speakers that they have
not learnt from (on other utterances where there is one speaker only), those of speakers on other
utterances.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fairseq_budget.corpus.manifest import Manifest, Utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ, RECEPTIVE_FIELD, SAMPLE_RATE, frame_centres
from fairseq_budget.frames import num_frames as frames_of
from fairseq_budget.prepare.speakers import ONE_SPEAKER, SpeakerRule, order_by_speaker
from fairseq_budget.text.alignments import Span, SpansOf, spans_within
from fairseq_budget.text.transcripts import SILENCES

PHONES, WORDS, SPEAKERS = "phones", "words", "speakers"  # that are asked about
MAX_SPEAKERS = 20
MAX_SAMPLES = 30 * SAMPLE_RATE  # heard of an utterance: bounds the memory of an encoder
FOLD = 4  # one in four speakers, and one in four utterances of each, are for testing
_GAP_S = 1e-3  # neighbours in time are no farther apart


@dataclass(frozen=True)
class Drawn:
    """An utterance of the manifest, and for which tests it is held out."""

    index: int
    speaker: str
    num_samples: int  # that are heard
    tests_speakers: bool  # of its speaker there are others to learn from
    tests_content: bool


@dataclass(frozen=True)
class Item:
    """The samples [start, stop) of an utterance, and what they are.

    `context`: of a phone the ones before and after it; empty strings where there is a gap.
    """

    utterance: int
    start: int
    stop: int
    label: str
    speaker: str
    is_test: bool
    context: tuple[str, str] = ("", "")


def draw_utterances(manifest: Manifest, rule: SpeakerRule, hours: float, seed: int) -> list[Drawn]:
    """Utterances of about `hours` hours, by index; BudgetError if none is as long as a frame."""
    by_speaker = {
        speaker: kept
        for speaker, indices in order_by_speaker(manifest, rule=rule, seed=seed).items()
        if (kept := [i for i in indices if _heard(manifest.utterances[i]) >= RECEPTIVE_FIELD])
    }
    if not by_speaker:
        raise BudgetError("no utterance of the manifest is as long as a frame (25 ms)")
    order = np.random.default_rng(seed).permutation(sorted(by_speaker))[:MAX_SPEAKERS].tolist()
    turns = sorted(
        (rank, place, index)
        for place, speaker in enumerate(order)
        for rank, index in enumerate(by_speaker[speaker])
    )
    drawn, room = [], hours * 3600 * SAMPLE_RATE
    for rank, place, index in turns:
        if room <= 0:
            break
        is_later = rank % FOLD == 1
        is_foreign = place % FOLD == 1 if len(order) > 1 else is_later
        num_samples = _heard(manifest.utterances[index])
        drawn.append(Drawn(index, order[place], num_samples, is_later, is_foreign))
        room -= num_samples
    return sorted(drawn, key=lambda utterance: utterance.index)


def _heard(utterance: Utterance) -> int:
    return min(utterance.num_samples, MAX_SAMPLES)


def speaker_items(drawn: Sequence[Drawn], rule: SpeakerRule) -> list[Item]:
    """Each utterance as a whole, labelled by its speaker; none where all are of one."""
    if rule.description == ONE_SPEAKER:
        return []
    return [Item(u.index, 0, u.num_samples, u.speaker, u.speaker, u.tests_speakers) for u in drawn]


def span_items(drawn: Sequence[Drawn], manifest: Manifest, spans_of: SpansOf) -> list[Item]:
    """All phones, or words, that have the middle of a frame of 20 ms within them; no silences."""
    return [
        item
        for utterance in drawn
        for item in _items_of(
            utterance, spans_within(manifest.utterances[utterance.index], spans_of)
        )
        if item.label not in SILENCES
    ]


def _items_of(utterance: Drawn, spans: Sequence[Span]) -> Iterable[Item]:
    centres = frame_centres(frames_of(utterance.num_samples), FRAME_RATE_HZ)
    edge = (float("-inf"), float("-inf"), "")
    for before, (start_s, end_s, label), after in zip(
        [edge, *spans], spans, [*spans[1:], edge], strict=False
    ):
        start, stop = round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)
        first, last = np.searchsorted(centres, (start, stop))
        if first < last and stop <= utterance.num_samples:
            context = (
                before[2] if abs(start_s - before[1]) < _GAP_S else "",
                after[2] if abs(after[0] - end_s) < _GAP_S else "",
            )
            yield Item(
                utterance.index, start, stop, label, utterance.speaker, utterance.tests_content,
                context,
            )  # fmt: skip


def most_frequent(items: Sequence[Item], num_labels: int) -> list[Item]:
    """The items of the commonest labels."""
    counts = Counter(item.label for item in items)
    kept = set(sorted(counts, key=lambda label: (-counts[label], label))[:num_labels])
    return [item for item in items if item.label in kept]


def bounded(items: Sequence[Item], max_items: int, seed: int) -> list[Item]:
    """At most so many of the items, drawn by the seed, in their order."""
    if len(items) <= max_items:
        return list(items)
    chosen = np.random.default_rng(seed).choice(len(items), max_items, replace=False)
    return [items[index] for index in sorted(chosen.tolist())]


def answerable(items: Sequence[Item]) -> list[Item]:
    """The items without test items whose label is not learnt; none if nothing is left to ask."""
    learnt = {item.label for item in items if not item.is_test}
    kept = [item for item in items if item.label in learnt]
    return kept if len(learnt) > 1 and any(item.is_test for item in kept) else []
