"""Sets of utterances that hold the same audio and differ in length alone; no audio is touched.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio", section 3.1, truncates and concatenates LibriSpeech into four sets of about 1, 5, 10 and
15 s; within a set lengths differ by at most 1 s, and all sets have the same hours. Differs: the
paper does not say whose utterances are joined; here they are of one speaker, and the sets hold not
only the same hours but the same samples. Its means are 1.1, 5.2, 10.4 and 15.8 s; ours are nearer
to what is asked for.

Cuts fall on frames of the source (20 ms), so that labels made for it belong to the pieces as they
are. What follows an utterance's last frame, less than 25 ms, is left out.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fairseq_budget.corpus.manifest import Manifest, Utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ, FRAME_SHIFT, num_frames
from fairseq_budget.prepare.speakers import SpeakerRule, order_by_speaker

HALF_WIDTH_S = 0.5  # a length's distance from the one asked for, at most: 1 s within a set
MIN_SECONDS = 0.1


class Span(NamedTuple):
    """Frames [start, start + num_frames) of an utterance of the source, by its index."""

    utterance: int
    start: int
    num_frames: int


Spans = tuple[Span, ...]


@dataclass(frozen=True)
class LengthSets:
    """The source of all sets: each speaker's audio as one queue of spans, and what is left out.

    `num_speakers` counts those that no set leaves out.
    """

    manifest: Manifest
    queues: list[list[Span]]
    num_samples_left_out: int

    @property
    def num_speakers(self) -> int:
        return len(self.queues)

    def cut(self, seconds: float) -> list[Spans]:
        """The set whose utterances are about `seconds` long: the spans that each one joins.

        A speaker's utterances are equally long, to a frame.
        """
        return [spans for queue in self.queues for spans in _cut_queue(queue, seconds)]

    def utterance(self, spans: Spans) -> Utterance:
        """The utterance that joins `spans`, as a manifest holds it."""
        pieces = tuple(
            piece
            for index, start, length in spans
            for piece in self.manifest.utterances[index].window(
                start * FRAME_SHIFT, length * FRAME_SHIFT
            )
        )
        return Utterance(pieces, FRAME_SHIFT * sum(span.num_frames for span in spans))


def plan_length_sets(
    manifest: Manifest, seconds: Sequence[float], *, rule: SpeakerRule, seed: int
) -> LengthSets:
    """Decide which audio all sets of the lengths `seconds` hold.

    Each speaker's utterances are joined in a random order, a function of the seed and the speaker
    alone, as far as the speaker's frames divide into equal parts within half a second of every
    length; about 4 minutes of a speaker always do for 1 to 15 s. Raises BudgetError if nothing is
    left.
    """
    widths = [_width(length) for length in seconds]
    queues = []
    for indices in order_by_speaker(manifest, rule=rule, seed=seed).values():
        queue = [Span(i, 0, num_frames(manifest.utterances[i].num_samples)) for i in indices]
        kept = most_frames(sum(span.num_frames for span in queue), widths)
        if kept:
            queues.append(list(_take(queue, 0, 0, kept)))
    if not queues:
        raise BudgetError(
            f"no speaker has audio that divides into utterances of {_join(seconds)} s; ask for "
            "fewer or shorter lengths, or take all for one speaker with --speaker '()'"
        )
    total = sum(utterance.num_samples for utterance in manifest.utterances)
    kept_samples = FRAME_SHIFT * sum(span.num_frames for queue in queues for span in queue)
    return LengthSets(manifest, queues, total - kept_samples)


def most_frames(total: int, widths: Sequence[tuple[int, int]]) -> int:
    """The most frames, up to `total`, that split into parts of low to high frames for all `widths`.

    >>> most_frames(100, [(25, 75), (90, 95)])
    95
    """
    while (fitting := min((_divisible(total, *width) for width in widths), default=0)) < total:
        total = fitting
    return total


def _divisible(total: int, low: int, high: int) -> int:
    parts = -(-total // high)  # no fewer hold all of it
    return total if parts * low <= total else (parts - 1) * high


def _width(seconds: float) -> tuple[int, int]:
    """The shortest and the longest length in frames that a set may hold."""
    if seconds < MIN_SECONDS:
        raise BudgetError(f"{seconds:g} s is no length to train on; ask for {MIN_SECONDS:g} s, say")
    half = min(HALF_WIDTH_S, seconds / 2)
    return math.ceil((seconds - half) * FRAME_RATE_HZ), int((seconds + half) * FRAME_RATE_HZ)


def _cut_queue(queue: Sequence[Span], seconds: float) -> Iterator[Spans]:
    """Cut a speaker's frames into the number of equal parts that comes nearest to `seconds`."""
    total = sum(span.num_frames for span in queue)
    low, high = _width(seconds)
    parts = round(total / (seconds * FRAME_RATE_HZ))
    parts = min(max(parts, -(-total // high)), total // low)
    ends = list(itertools.accumulate(span.num_frames for span in queue))
    for part in range(parts):
        start, stop = total * part // parts, total * (part + 1) // parts
        first = bisect.bisect_right(ends, start)
        offset = ends[first] - queue[first].num_frames
        yield tuple(_take(queue, first, start - offset, stop - start))


def _take(queue: Sequence[Span], first: int, start: int, num_frames: int) -> Iterator[Span]:
    """The `num_frames` frames of a queue that begin at frame `start` of its span `first`."""
    while num_frames > 0:
        index, begin, length = queue[first]
        taken = min(length - start, num_frames)
        if taken > 0:
            yield Span(index, begin + start, taken)
        num_frames -= taken
        first, start = first + 1, 0


def _join(seconds: Sequence[float]) -> str:
    return ", ".join(f"{length:g}" for length in seconds)
