"""Sets of one length: the same audio in all of them, within one second, of one speaker each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance, parse_utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE, num_frames
from fairseq_budget.prepare.length_sets import Span, most_frames, plan_length_sets
from fairseq_budget.prepare.speakers import find_speaker_rule

RULE = find_speaker_rule([], r"^(\w)/")
PAPER = [1.0, 5.0, 10.0, 15.0]


def corpus(
    num_utterances: int, seconds: tuple[float, float], *, speakers: str = "abcd", seed: int = 0
) -> Manifest:
    generator = np.random.default_rng(seed)
    lengths = (generator.uniform(*seconds, num_utterances) * SAMPLE_RATE).astype(int).tolist()
    return Manifest(
        Path("/root"),
        [
            Utterance((Piece(f"{speakers[i % len(speakers)]}/{i}.wav"),), length)
            for i, length in enumerate(lengths)
        ],
    )


DIGITS = corpus(2000, (0.14, 1.3))  # as short as spoken digits, 24 minutes
BOOKS = corpus(600, (2, 35), speakers="abcdefghij")  # as long as read books, 3 hours
FEW = corpus(128, (1, 4), speakers="abcdefgh")  # a speaker has 40 s
CORPORA = pytest.mark.parametrize("manifest", [DIGITS, BOOKS, FEW], ids=["digits", "books", "few"])


def samples(utterances: list[Utterance]) -> list[tuple[str, int, int]]:
    """The runs of samples that utterances hold, neighbours joined, sorted."""
    runs: list[tuple[str, int, int]] = []
    for piece in sorted(
        (piece for utterance in utterances for piece in utterance.segments),
        key=lambda piece: (piece.path, piece.start),
    ):
        length = piece.num_samples or 0
        if runs and runs[-1][:1] == (piece.path,) and sum(runs[-1][1:]) == piece.start:
            runs[-1] = (piece.path, runs[-1][1], runs[-1][2] + length)
        else:
            runs.append((piece.path, piece.start, length))
    return runs


@CORPORA
def test_all_sets_hold_the_same_samples_and_the_rest_is_counted(manifest: Manifest) -> None:
    sets = plan_length_sets(manifest, PAPER, rule=RULE, seed=1)
    held = [samples([sets.utterance(own) for own in sets.cut(length)]) for length in PAPER]
    assert all(other == held[0] for other in held[1:])
    kept = sum(length for _, _, length in held[0])
    assert kept + sets.num_samples_left_out == sum(utt.num_samples for utt in manifest.utterances)


@CORPORA
def test_lengths_of_a_set_lie_within_a_second_and_near_what_was_asked(manifest: Manifest) -> None:
    sets = plan_length_sets(manifest, PAPER, rule=RULE, seed=1)
    for length in PAPER:
        lengths_s = [sets.utterance(own).num_samples / SAMPLE_RATE for own in sets.cut(length)]
        assert max(lengths_s) - min(lengths_s) <= 1
        assert abs(np.mean(lengths_s) - length) <= 0.5


@pytest.mark.parametrize("manifest", [DIGITS, BOOKS], ids=["digits", "books"])
def test_little_is_left_out_of_speakers_with_minutes(manifest: Manifest) -> None:
    sets = plan_length_sets(manifest, PAPER, rule=RULE, seed=1)
    ends = sum(utt.num_samples - 320 * num_frames(utt.num_samples) for utt in manifest.utterances)
    assert sets.num_samples_left_out == ends


def test_utterances_have_one_speaker_and_begin_on_frames() -> None:
    sets = plan_length_sets(BOOKS, PAPER, rule=RULE, seed=1)
    for utterance in map(sets.utterance, sets.cut(10)):
        assert len({piece.path[0] for piece in utterance.pieces}) == 1
        assert all(piece.start % 320 == 0 for piece in utterance.pieces)
        assert parse_utterance(utterance.name, utterance.num_samples) == utterance


def test_sets_are_a_function_of_the_seed() -> None:
    first, again, other = (plan_length_sets(DIGITS, PAPER, rule=RULE, seed=s) for s in (1, 1, 2))
    assert first.cut(5) == again.cut(5) != other.cut(5)


def test_joined_utterances_are_cut_where_their_pieces_are() -> None:
    joined = Utterance((Piece("a", 100, 400), Piece("b", 0, 16_000)), 16_400)
    rule = find_speaker_rule(["a", "b"])  # one speaker for all
    sets = plan_length_sets(Manifest(Path("/"), [joined]), [0.5], rule=rule, seed=1)
    first, second = sets.cut(0.5)
    assert first == (Span(0, 0, 25),)
    assert sets.utterance(first).name == "a@100+400|b@0+7600"
    assert sets.utterance(second).name == "b@7600+8320"


def test_speakers_without_enough_audio_are_in_no_set() -> None:
    lengths = {"a/1.wav": 480_400, "b/1.wav": 100_000}
    whole = Manifest(Path("/"), [Utterance((Piece(p),), n) for p, n in lengths.items()])
    sets = plan_length_sets(whole, PAPER, rule=RULE, seed=1)
    assert sets.num_speakers == 1
    assert sets.num_samples_left_out == 100_000 + 80
    with pytest.raises(BudgetError, match="--speaker"):
        plan_length_sets(Manifest(Path("/"), whole.utterances[1:]), PAPER, rule=RULE, seed=1)


@pytest.mark.parametrize("total", [0, 1, 24, 25, 76, 89, 100, 1000])
def test_most_frames_is_the_largest_that_divides(total: int) -> None:
    widths = [(25, 30), (90, 95)]

    def divides(frames: int) -> bool:
        return all(any(n * low <= frames <= n * high for n in range(99)) for low, high in widths)

    assert most_frames(total, widths) == max(t for t in range(total + 1) if divides(t))


def test_lengths_that_hold_no_frame_are_refused() -> None:
    with pytest.raises(BudgetError, match=r"0\.01 s is no length"):
        plan_length_sets(DIGITS, [0.01, 1], rule=RULE, seed=1)
