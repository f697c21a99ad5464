"""Greedy and beam search against exhaustive search on a tiny vocabulary."""

import itertools

import pytest
import torch

from fairseq_budget.asr.decoding import beam_search, greedy_search
from fairseq_budget.asr.lattice import lattice
from fairseq_budget.asr.predictor import CONTEXT, TransducerHead, with_start

NUM_FRAMES = torch.tensor([5, 3, 4])


def random_head(seed: int, vocab: int = 3) -> tuple[TransducerHead, torch.Tensor]:
    torch.manual_seed(seed)
    head = TransducerHead(6, vocab, decoder_dim=8, joiner_dim=8)
    with torch.no_grad():  # decided by frames and context, so that searches can go wrong
        head.joiner.encoder_proj.weight.mul_(8)
        head.joiner.decoder_proj.weight.mul_(4)
        head.joiner.output_linear.weight.mul_(4)
    return head, torch.randn(3, 5, 6)


@torch.no_grad()
def log_prob(head: TransducerHead, frames: torch.Tensor, sequence: tuple[int, ...]) -> float:
    """log p(sequence) of one utterance, frames (T, D), one symbol per frame at most."""
    symbols = torch.tensor([sequence], dtype=torch.long)
    predicted = head.joiner.decoder_proj(head.decoder(with_start(symbols)))
    logits = head.joiner(head.joiner.encoder_proj(frames)[None, None], predicted.unsqueeze(2))
    scores = logits.log_softmax(3)  # (1, S+1, T, V)
    taken = symbols[0].view(1, -1, 1, 1).expand(1, -1, len(frames), 1)
    found = lattice(
        scores[:, :-1].gather(3, taken).squeeze(3),
        scores[..., 0],
        num_symbols=torch.tensor([len(sequence)]),
        num_frames=torch.tensor([len(frames)]),
        one_per_frame=True,
    )
    return found.log_prob.item()


def exhaustive(head: TransducerHead, frames: torch.Tensor, vocab: int = 3) -> list[int]:
    sequences = [
        sequence
        for length in range(len(frames) + 1)
        for sequence in itertools.product(range(1, vocab), repeat=length)
    ]
    return list(max(sequences, key=lambda s: log_prob(head, frames, s) / (len(s) + CONTEXT)))


@pytest.mark.parametrize("seed", range(6))
def test_a_beam_that_holds_everything_finds_the_exhaustive_winner(seed):
    head, encoded = random_head(seed)
    found = beam_search(head, encoded, NUM_FRAMES, beam=63)
    for row, length in enumerate(NUM_FRAMES.tolist()):
        assert found[row] == exhaustive(head, encoded[row, :length])


def test_the_searches_differ_and_the_beam_finds_the_more_probable():
    num_better = 0
    for seed in range(12):
        head, encoded = random_head(seed)
        pairs = zip(
            greedy_search(head, encoded, NUM_FRAMES),
            beam_search(head, encoded, NUM_FRAMES, beam=8),
            strict=True,
        )
        for row, (greedy, beam) in enumerate(pairs):
            frames = encoded[row, : NUM_FRAMES[row]]
            one, other = (
                log_prob(head, frames, tuple(s)) / (len(s) + CONTEXT) for s in (greedy, beam)
            )
            assert other >= one - 1e-5
            num_better += other > one + 1e-5
    assert num_better > 0


def test_greedy_takes_the_best_symbol_of_each_frame():
    head, encoded = random_head(0, vocab=5)
    for row, length in enumerate(NUM_FRAMES.tolist()):
        symbols: list[int] = []
        for frame in head.joiner.encoder_proj(encoded[row, :length]):
            predicted = head.decoder(with_start(torch.tensor([symbols], dtype=torch.long)))[:, -1]
            logits = head.joiner(frame, head.joiner.decoder_proj(predicted))
            symbols += [s for s in logits.argmax(1).tolist() if s != 0]
        assert greedy_search(head, encoded, NUM_FRAMES)[row] == symbols


@pytest.mark.parametrize("search", [greedy_search, beam_search])
def test_padding_and_batch_mates_do_not_change_what_is_found(search):
    head, encoded = random_head(3, vocab=6)
    together = search(head, encoded, NUM_FRAMES)
    assert any(together)
    for row, length in enumerate(NUM_FRAMES.tolist()):
        one = slice(row, row + 1)
        assert search(head, encoded[one, :length], NUM_FRAMES[one]) == together[one]


@pytest.mark.parametrize("search", [greedy_search, beam_search])
def test_no_frames_give_no_symbols(search):
    head, encoded = random_head(0)
    assert search(head, encoded[:, :0], torch.zeros(3, dtype=torch.long)) == [[], [], []]


def test_equal_sequences_are_merged():
    """One symbol, sure to be emitted once, at any of five frames: only the sum wins."""
    head, _ = random_head(0)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.joiner.output_linear.bias.copy_(torch.tensor([0.0, -1.2, -9.0]))
    frames = torch.zeros(1, 5, 6)
    assert greedy_search(head, frames, torch.tensor([5])) == [[]]
    assert len(beam_search(head, frames, torch.tensor([5]), beam=6)[0]) > 0
