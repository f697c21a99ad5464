"""The transducer's head: what the predictor sees, both losses, gradients, its size."""

import pytest
import torch

from fairseq_budget.asr.predictor import (
    CONTEXT,
    StatelessPredictor,
    TransducerHead,
    loss_weights,
    take_positions,
    with_start,
)
from fairseq_budget.asr.transducer import transducer_loss

ENDS = {"num_frames": torch.tensor([9, 7]), "num_symbols": torch.tensor([4, 2])}


@pytest.fixture
def head() -> TransducerHead:
    torch.manual_seed(0)
    return TransducerHead(12, 11, decoder_dim=16, joiner_dim=8)


@pytest.fixture
def encoded() -> torch.Tensor:
    return torch.randn(2, 9, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def symbols() -> torch.Tensor:
    return torch.tensor([[3, 5, 5, 10], [7, 1, 0, 0]])


def test_the_published_size_is_the_papers_difference():
    """96.4 M with the transducer, 94.6 M without: k2SSL's Table I."""
    size = sum(p.numel() for p in TransducerHead(768, 500).parameters())
    assert size == 1_813_980


def test_the_predictor_sees_two_symbols_and_no_more(head, symbols):
    changed = symbols.clone()
    changed[0, 1] = 9
    before, after = (head.decoder(with_start(x)) for x in (symbols, changed))
    assert before.shape == (2, 5, 16)
    differs = (before != after).any(2)
    assert differs.tolist() == [[False, False, True, True, False], [False] * 5]


def test_nothing_stands_before_the_first_blank():
    assert with_start(torch.tensor([[4, 2]])).tolist() == [[-1, 0, 4, 2]]
    predictor = StatelessPredictor(5, 8)
    alone = predictor(torch.tensor([[-1, 0]]))
    kernel = predictor.conv.weight[:, :, CONTEXT - 1]  # the blank's tap only
    grouped = predictor.embedding.weight[0].view(2, 4)
    expected = torch.cat([kernel[:4] @ grouped[0], kernel[4:] @ grouped[1]]).relu()
    torch.testing.assert_close(alone[0, 0], expected)


def test_with_a_window_over_everything_the_pruned_loss_is_the_full_joiners(head, encoded, symbols):
    found = head(encoded, symbols, **ENDS, prune_range=99).pruned
    predicted = head.joiner.decoder_proj(head.decoder(with_start(symbols)))
    projected = head.joiner.encoder_proj(encoded)
    full = head.joiner(projected.unsqueeze(2), predicted.unsqueeze(1))
    expected = transducer_loss(full, symbols, **ENDS)
    assert found.count == expected.count == 6
    torch.testing.assert_close(found.sum, expected.sum)


def test_pruning_leaves_paths_out_and_never_adds_any(head, encoded, symbols):
    losses = [head(encoded, symbols, **ENDS, prune_range=r).pruned.sum for r in (2, 3, 5)]
    assert losses[0] > losses[1] > losses[2]


def test_both_losses_reach_the_encoder_and_their_own_parameters(head, encoded, symbols):
    losses = head(encoded.requires_grad_(), symbols, **ENDS, prune_range=2)
    (from_simple,) = torch.autograd.grad(losses.simple.sum, encoded, retain_graph=True)
    (from_pruned,) = torch.autograd.grad(losses.pruned.sum, encoded, retain_graph=True)
    assert from_simple[0].any(1).all()
    assert from_pruned[0].any(1).all()
    assert not from_pruned[1, 7:].any()  # padding
    losses.pruned.sum.backward()
    assert head.simple_am_proj.weight.grad is None  # bounds carry no gradient
    assert head.decoder.embedding.weight.grad.any()


def test_padding_and_batch_mates_do_not_change_the_losses(head, encoded, symbols):
    together = head(encoded, symbols, **ENDS, prune_range=3)
    parts = [
        head(
            encoded[row : row + 1, :t],
            symbols[row : row + 1, :s],
            num_frames=torch.tensor([t]),
            num_symbols=torch.tensor([s]),
            prune_range=3,
        )
        for row, (t, s) in enumerate([(9, 4), (7, 2)])
    ]
    for name in ("simple", "pruned"):
        alone = sum(getattr(part, name).sum for part in parts)
        torch.testing.assert_close(getattr(together, name).sum, alone)


def test_losses_are_finite_under_bfloat16(head, encoded, symbols):
    with torch.autocast("cpu", torch.bfloat16):
        losses = head(encoded, symbols, **ENDS)
    (losses.simple.sum + losses.pruned.sum).backward()
    assert losses.pruned.sum.dtype == torch.float32
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


def test_positions_are_taken_as_indexing_would():
    x, positions = torch.randn(2, 5, 3), torch.randint(5, (2, 4, 2))
    rows = torch.arange(2).view(2, 1, 1)
    assert torch.equal(take_positions(x, positions), x[rows, positions])


def test_long_utterances_prune_to_finite_gradients(head):
    generator = torch.Generator().manual_seed(0)
    encoded = torch.randn(3, 150, 12, generator=generator).requires_grad_()
    symbols = torch.randint(1, 11, (3, 50), generator=generator)
    ends = {"num_frames": torch.tensor([150, 90, 80]), "num_symbols": torch.tensor([50, 30, 20])}
    head(encoded, symbols, **ends).pruned.sum.backward()
    assert torch.isfinite(encoded.grad).all()
    assert encoded.grad.abs().max() < 10  # an occupation is a probability


def test_weights_of_the_two_losses_cross_in_the_warm_up():
    assert loss_weights(0) == (1.0, 0.1)
    assert loss_weights(1000) == pytest.approx((0.75, 0.55))
    assert loss_weights(9999) == (0.5, 1.0)


def test_a_few_updates_fit_an_utterance(head, encoded, symbols):
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    values = []
    for _ in range(60):
        losses = head(encoded, symbols, **ENDS)
        loss = 0.5 * losses.simple.sum + losses.pruned.sum
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(losses.pruned.sum.item())
    assert values[-1] < 0.2 * values[0]
