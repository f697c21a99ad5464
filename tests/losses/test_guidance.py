"""Guidance of CIF: hand-computed cases, and the alphas at which it is silent."""

import pytest
import torch

from fairseq_budget.losses.guidance import cardinality_loss, frame_loss, segment_loss
from fairseq_budget.nn.subsample import target_alphas

ENDS = torch.tensor([[2, 5, 6], [3, 4, 4]])  # six frames, and four


def test_alphas_of_the_boundaries_cost_nothing():
    alphas = target_alphas(ENDS, 6).float()
    assert segment_loss(alphas, ENDS).sum.item() == pytest.approx(0, abs=1e-6)
    assert frame_loss(alphas, ENDS).sum.item() == pytest.approx(0, abs=1e-6)


def test_segment_loss_adds_the_drift_at_every_end():
    alphas = torch.tensor([[0.5, 0.6, 0.3, 0.3, 0.3, 0.4], [0.2, 0.2, 0.2, 1.0, 0.0, 0.0]])
    first = abs(1.1 - 1) + abs(2.0 - 2) + abs(2.4 - 3)
    second = abs(0.6 - 1) + abs(1.6 - 2)
    term = segment_loss(alphas, ENDS)
    assert term.sum.item() == pytest.approx(first + second, rel=1e-5)
    assert term.count == 2


def test_frame_loss_compares_every_valid_frame():
    alphas = torch.zeros(2, 6)
    # The sum of what should be there: three segments, and two.
    assert frame_loss(alphas, ENDS).sum.item() == pytest.approx(5.0, rel=1e-6)


def test_cardinality_is_a_squared_error_per_frame():
    alphas = torch.tensor([[0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 0.0, 0.0]])
    term = cardinality_loss(alphas, torch.tensor([4, 2]), rate=4.0)
    expected = ((2 - 1) / 4) ** 2 + ((2 - 0.5) / 2) ** 2
    assert term.sum.item() == pytest.approx(expected)
    assert term.count == 2


@pytest.mark.parametrize("loss", [segment_loss, frame_loss])
def test_padding_changes_nothing(loss):
    alphas = torch.rand(2, 6, generator=torch.Generator().manual_seed(0))
    alphas[1, 4:] = 0
    alone = loss(alphas[:1], ENDS[:1]).sum + loss(alphas[1:, :4], ENDS[1:, :2]).sum
    torch.testing.assert_close(loss(alphas, ENDS).sum, alone)
