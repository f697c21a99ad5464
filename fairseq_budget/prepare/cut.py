"""Utterances of one fixed duration, for the study of sequence lengths; no audio is touched.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio" trains on copies of LibriSpeech whose utterances are about 1, 5, 10 or 15 seconds long. The
paper leaves open which utterances are joined. Differs: here they are of one speaker, and every
utterance is exactly as long as asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.prepare.speakers import SpeakerRule, order_by_speaker


@dataclass(frozen=True)
class Cut:
    """A manifest of equally long utterances, and how many samples were left over, of how many."""

    manifest: Manifest
    num_speakers: int
    num_samples_left_out: int


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
