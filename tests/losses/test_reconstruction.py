"""TERA's loss."""

import torch

from fairseq_budget.losses.reconstruction import l1_reconstruction


def test_sum_and_count_of_a_case_computed_by_hand():
    prediction = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    term = l1_reconstruction(prediction, torch.tensor([[0.0, 4.0], [0.5, -1.0]]))
    assert (term.sum.item(), term.count) == (3.5, 4)


def test_loss_is_additive_over_batches():
    torch.manual_seed(0)
    a, b = torch.randn(7, 78), torch.randn(7, 78)
    whole = l1_reconstruction(a, b)
    parts = [l1_reconstruction(a[:3], b[:3]), l1_reconstruction(a[3:], b[3:])]
    torch.testing.assert_close(whole.sum, parts[0].sum + parts[1].sum)
    assert whole.count == parts[0].count + parts[1].count
    torch.testing.assert_close(whole.sum / whole.count, torch.nn.functional.l1_loss(a, b))


def test_half_precision_is_summed_in_float32():
    big = torch.full((1000, 78), 3.0, dtype=torch.float16)
    term = l1_reconstruction(big, torch.zeros_like(big))
    assert term.sum.dtype is torch.float32
    assert term.sum.item() == 3 * 78000  # float16 ends at 65504


def test_no_masked_frame_gives_zero_with_a_gradient():
    empty = torch.zeros(0, 78, requires_grad=True)
    term = l1_reconstruction(empty, empty.detach())
    term.sum.backward()
    assert (term.sum.item(), term.count) == (0.0, 0)
