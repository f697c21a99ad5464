"""The transducer losses against brute force, each other, padding and low precision."""

import itertools

import pytest
import torch

from fairseq_budget.asr.transducer import negative_log_prob, simple_lattice, transducer_loss
from tests.asr.brute_force import double_loop

VOCAB = 7
NUM_FRAMES, NUM_SYMBOLS = torch.tensor([6, 4, 5]), torch.tensor([3, 4, 0])
ENDS = {"num_frames": NUM_FRAMES, "num_symbols": NUM_SYMBOLS}


def random_batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(3, 6, 5, VOCAB, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), torch.randint(1, VOCAB, (3, 4), generator=generator)


def random_parts(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    am = torch.randn(3, 6, VOCAB, generator=generator, dtype=torch.float64)
    lm = torch.randn(3, 5, VOCAB, generator=generator, dtype=torch.float64)
    symbols = torch.randint(1, VOCAB, (3, 4), generator=generator)
    return am.requires_grad_(), lm.requires_grad_(), symbols


def by_hand(
    log_probs: torch.Tensor, symbols: torch.Tensor, one_per_frame: bool = False
) -> torch.Tensor:
    """log_probs (B, T, S+1, V): the sum of the three utterances' losses."""
    total = log_probs.new_zeros(())
    for row in range(3):
        frames, count = int(NUM_FRAMES[row]), int(NUM_SYMBOLS[row])
        symbol = log_probs.new_zeros(count, frames)
        for s, t in itertools.product(range(count), range(frames)):
            symbol[s, t] = log_probs[row, t, s, symbols[row, s]]
        blank = log_probs[row, :, :, 0].T
        total = total - double_loop(symbol, blank, count, frames, one_per_frame)
    return total


@pytest.mark.parametrize("one_per_frame", [False, True])
def test_the_full_loss_and_its_gradient_equal_brute_force(one_per_frame):
    logits, symbols = random_batch()
    term = transducer_loss(logits, symbols, **ENDS, one_per_frame=one_per_frame)
    expected = by_hand(logits.log_softmax(3), symbols, one_per_frame)
    assert term.count == 7
    torch.testing.assert_close(term.sum, expected, rtol=0, atol=1e-12)
    (found,) = torch.autograd.grad(term.sum, logits)
    (wanted,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_the_gradient_of_the_logits_passes_finite_differences():
    logits, symbols = random_batch()
    assert torch.autograd.gradcheck(
        lambda x: transducer_loss(x, symbols, **ENDS).sum, logits, fast_mode=True
    )


def test_the_simple_loss_is_the_full_loss_of_added_logits():
    am, lm, symbols = random_parts()
    term = negative_log_prob(simple_lattice(am, lm, symbols, **ENDS), NUM_SYMBOLS)
    full = transducer_loss(am.unsqueeze(2) + lm.unsqueeze(1), symbols, **ENDS)
    torch.testing.assert_close(term.sum, full.sum, rtol=0, atol=1e-12)
    for found, wanted in zip(
        torch.autograd.grad(term.sum, (am, lm)),
        torch.autograd.grad(full.sum, (am, lm)),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_smoothing_mixes_two_log_probabilities():
    am, lm, symbols = random_parts()
    joint = (am.unsqueeze(2) + lm.unsqueeze(1)).log_softmax(3)
    lm_only = lm.log_softmax(2).unsqueeze(1)
    expected = by_hand(0.75 * joint + 0.25 * lm_only, symbols)
    smoothed = simple_lattice(am, lm, symbols, **ENDS, lm_scale=0.25)
    found = negative_log_prob(smoothed, NUM_SYMBOLS).sum
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_window_over_everything_gives_the_full_loss():
    logits, symbols = random_batch()
    starts = torch.zeros(3, 6, dtype=torch.long)
    full = transducer_loss(logits, symbols, **ENDS)
    assert transducer_loss(logits, symbols, starts=starts, **ENDS).sum == full.sum


@pytest.mark.parametrize("one_per_frame", [False, True])
def test_a_window_gives_the_sum_over_the_paths_inside_it(one_per_frame):
    logits, symbols = random_batch()
    starts = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 2, 2, 2, 2], [0] * 6])
    kept = starts.unsqueeze(2) + torch.arange(3)  # windows of three
    windowed = logits.gather(2, kept.unsqueeze(3).expand(-1, -1, -1, VOCAB))
    outside = torch.ones(3, 6, 5, dtype=torch.bool).scatter(2, kept, False)
    allowed = logits.log_softmax(3).masked_fill(outside.unsqueeze(3), -1e4)
    options = {"one_per_frame": one_per_frame}
    found = transducer_loss(windowed, symbols, starts=starts, **ENDS, **options).sum
    expected = by_hand(allowed, symbols, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(found, logits, retain_graph=True)
    (wanted,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-12)
    assert found > transducer_loss(logits, symbols, **ENDS, **options).sum


def test_padding_and_batch_mates_have_no_influence():
    logits, symbols = random_batch()
    am, lm, _ = random_parts()
    with torch.no_grad():
        logits[1, 4:], logits[2, :, 1:], am[1, 4:], lm[2, 1:] = 99.0, -99.0, 99.0, -99.0
    for row in range(3):
        t, s = int(NUM_FRAMES[row]), int(NUM_SYMBOLS[row])
        ends = {"num_frames": NUM_FRAMES[row : row + 1], "num_symbols": NUM_SYMBOLS[row : row + 1]}
        one = slice(row, row + 1)
        alone = transducer_loss(logits[one, :t, : s + 1], symbols[one, :s], **ends).sum
        (found,) = torch.autograd.grad(transducer_loss(logits, symbols, **ENDS).sum, logits)
        (wanted,) = torch.autograd.grad(alone, logits)
        torch.testing.assert_close(found[row], wanted[row])
        together = simple_lattice(am, lm, symbols, **ENDS, lm_scale=0.25).log_prob[row]
        simple = simple_lattice(
            am[one, :t], lm[one, : s + 1], symbols[one, :s], **ends, lm_scale=0.25
        )
        torch.testing.assert_close(together, simple.log_prob[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_lose_nothing_inside(dtype):
    logits, symbols = random_batch()
    half = logits.detach().to(dtype).requires_grad_()
    term = transducer_loss(half, symbols, **ENDS)
    assert term.sum.dtype == torch.float32
    exact = transducer_loss(half.detach().double(), symbols, **ENDS)
    torch.testing.assert_close(term.sum.double(), exact.sum, rtol=1e-6, atol=0)
    term.sum.backward()
    assert half.grad.dtype == dtype
    assert torch.isfinite(half.grad).all()


def test_autocast_does_not_touch_the_simple_loss():
    am, lm, symbols = (x.detach().float() if x.is_floating_point() else x for x in random_parts())
    plain = simple_lattice(am, lm, symbols, **ENDS, lm_scale=0.25)
    with torch.autocast("cpu", torch.bfloat16):
        inside = simple_lattice(am, lm, symbols, **ENDS, lm_scale=0.25)
    assert torch.equal(plain.log_prob, inside.log_prob)


def test_far_apart_peaks_stay_finite():
    am, lm, symbols = random_parts()
    extreme = [(200 * x.detach().float()).requires_grad_() for x in (am, lm)]
    term = negative_log_prob(simple_lattice(*extreme, symbols, **ENDS), NUM_SYMBOLS)
    term.sum.backward()
    assert torch.isfinite(term.sum)
    assert all(torch.isfinite(x.grad).all() for x in extreme)


def test_an_utterance_without_any_path_adds_nothing():
    logits, symbols = random_batch()
    ends = {"num_frames": torch.tensor([6, 2, 5]), "num_symbols": NUM_SYMBOLS}
    term = transducer_loss(logits, symbols, **ends, one_per_frame=True)
    term.sum.backward()
    assert torch.isfinite(term.sum)
    assert logits.grad[1].abs().sum() == 0
    assert logits.grad[0].abs().sum() > 0
