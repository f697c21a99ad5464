"""CTC against the enumeration of all alignments."""

import itertools
from collections import defaultdict

import torch

from fairseq_budget.asr.ctc import beam_ctc, ctc_loss, greedy_ctc

NUM_FRAMES, NUM_SYMBOLS = torch.tensor([5, 3]), torch.tensor([2, 1])
ENDS = {"num_frames": NUM_FRAMES, "num_symbols": NUM_SYMBOLS}
SYMBOLS = torch.tensor([[2, 2], [1, 0]])


def random_logits() -> torch.Tensor:
    return 2 * torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))


def test_the_loss_sums_over_all_alignments():
    logits = random_logits()
    expected = torch.zeros(())
    for row in range(2):
        scores = []
        for alignment in itertools.product(range(3), repeat=int(NUM_FRAMES[row])):
            spelled = [symbol for symbol, _ in itertools.groupby(alignment) if symbol != 0]
            if spelled == SYMBOLS[row, : NUM_SYMBOLS[row]].tolist():
                log_probs = logits[row].log_softmax(1)[range(len(alignment)), alignment]
                scores.append(log_probs.sum())
        expected = expected - torch.stack(scores).logsumexp(0)
    term = ctc_loss(logits, SYMBOLS, **ENDS)
    assert term.count == 3
    torch.testing.assert_close(term.sum, expected)


def test_padding_does_not_change_the_loss_and_gets_no_gradient():
    logits = random_logits()
    changed = logits.clone()
    changed[1, 3:] = 50.0
    changed.requires_grad_()
    term = ctc_loss(changed, SYMBOLS, **ENDS)
    term.sum.backward()
    torch.testing.assert_close(term.sum, ctc_loss(logits, SYMBOLS, **ENDS).sum)
    assert not changed.grad[1, 3:].any()


def test_the_loss_is_float32_for_bfloat16_logits():
    logits = random_logits().bfloat16().requires_grad_()
    term = ctc_loss(logits, SYMBOLS, **ENDS)
    term.sum.backward()
    assert term.sum.dtype == torch.float32
    torch.testing.assert_close(term.sum, ctc_loss(logits.float(), SYMBOLS, **ENDS).sum)
    assert torch.isfinite(logits.grad).all()


def test_too_many_symbols_for_the_frames_add_nothing():
    term = ctc_loss(
        random_logits(),
        SYMBOLS,
        num_frames=torch.tensor([2, 3]),  # two equal symbols need a blank in between
        num_symbols=NUM_SYMBOLS,
    )
    alone = ctc_loss(
        random_logits()[1:],
        SYMBOLS[1:],
        num_frames=NUM_FRAMES[1:],
        num_symbols=NUM_SYMBOLS[1:],
    )
    torch.testing.assert_close(term.sum, alone.sum)
    assert term.count == alone.count == 1


def test_greedy_removes_repetitions_then_blanks_and_ignores_padding():
    best = torch.tensor([[1, 1, 0, 1, 2, 2], [0, 3, 3, 0, 1, 1]])
    logits = torch.nn.functional.one_hot(best, 4).float()
    assert greedy_ctc(logits, torch.tensor([6, 4])) == [[1, 1, 2], [3]]
    assert greedy_ctc(logits, torch.tensor([1, 0])) == [[1], []]


def test_a_wide_beam_finds_the_likeliest_symbols_of_all_alignments():
    for seed in range(20):
        logits = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(seed))
        share = logits[0].softmax(1)
        found: dict[tuple[int, ...], float] = defaultdict(float)
        for alignment in itertools.product(range(3), repeat=5):
            spelled = tuple(symbol for symbol, _ in itertools.groupby(alignment) if symbol != 0)
            found[spelled] += float(share[range(5), alignment].prod())
        likeliest = max(found, key=lambda spelled: found[spelled])
        assert beam_ctc(logits, torch.tensor([5]), beam=1000) == [list(likeliest)]


def test_a_beam_sums_alignments_where_the_best_of_each_frame_is_a_blank():
    logits = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    assert greedy_ctc(logits, torch.tensor([2])) == [[]]
    assert beam_ctc(logits, torch.tensor([2]), beam=2) == [[1]]  # 0.64 against 0.36


def test_a_beam_hears_no_padding_and_knows_any_blank():
    logits = random_logits().flip(2)
    short = [beam_ctc(row[None, :n], torch.tensor([n]), beam=4, blank=2)[0]
             for row, n in zip(logits, (5, 3), strict=True)]  # fmt: skip
    assert beam_ctc(logits, NUM_FRAMES, beam=4, blank=2) == short
    assert all(2 not in row for row in short)
    assert beam_ctc(logits, torch.tensor([0, 0]), beam=4) == [[], []]
