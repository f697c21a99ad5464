"""The lattice's scan against every path and against the recursion of the definition."""

import pytest
import torch

from fairseq_budget.asr.lattice import lattice
from tests.asr.brute_force import double_loop, enumerate_paths

SHAPES = [(0, 1), (0, 4), (1, 1), (1, 5), (3, 4), (4, 4), (2, 7)]


def random_arcs(num_symbols: int, num_frames: int, *, batch: int = 1, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    blank = torch.rand(batch, num_symbols + 1, num_frames, generator=generator).double()
    symbol = torch.rand(batch, num_symbols, num_frames, generator=generator).double()
    return (-3 * symbol).requires_grad_(), (-3 * blank).requires_grad_()


def lengths(*values: int) -> torch.Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize("one_per_frame", [False, True])
@pytest.mark.parametrize(("num_symbols", "num_frames"), SHAPES)
def test_the_sum_equals_the_enumeration_of_all_paths(num_symbols, num_frames, one_per_frame):
    symbol, blank = random_arcs(num_symbols, num_frames)
    result = lattice(
        symbol,
        blank,
        num_symbols=lengths(num_symbols),
        num_frames=lengths(num_frames),
        one_per_frame=one_per_frame,
    )
    expected = enumerate_paths(symbol[0], blank[0], num_symbols, num_frames, one_per_frame)
    torch.testing.assert_close(result.log_prob[0], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("one_per_frame", [False, True])
@pytest.mark.parametrize(("num_symbols", "num_frames"), [*SHAPES, (6, 11)])
def test_value_and_gradient_equal_the_double_loop(num_symbols, num_frames, one_per_frame):
    symbol, blank = random_arcs(num_symbols, num_frames, seed=1)
    result = lattice(
        symbol,
        blank,
        num_symbols=lengths(num_symbols),
        num_frames=lengths(num_frames),
        one_per_frame=one_per_frame,
    )
    expected = double_loop(symbol[0], blank[0], num_symbols, num_frames, one_per_frame)
    torch.testing.assert_close(result.log_prob[0], expected, rtol=0, atol=1e-13)
    wanted = torch.autograd.grad(expected, (symbol, blank), materialize_grads=True)
    found = torch.autograd.grad(result.log_prob.sum(), (symbol, blank))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)
    torch.testing.assert_close(found[0], result.symbol_occupation)
    torch.testing.assert_close(found[1], result.blank_occupation)


def test_the_gradient_passes_finite_differences():
    symbol, blank = random_arcs(3, 5, batch=2)
    ends = {"num_symbols": lengths(3, 2), "num_frames": lengths(4, 5)}
    assert torch.autograd.gradcheck(lambda a, b: lattice(a, b, **ends).log_prob, (symbol, blank))


def test_every_path_takes_each_symbol_once_and_each_frame_once():
    symbol, blank = random_arcs(5, 9)
    result = lattice(symbol, blank, num_symbols=lengths(5), num_frames=lengths(9))
    torch.testing.assert_close(result.symbol_occupation.sum(2), torch.ones(1, 5).double())
    torch.testing.assert_close(result.blank_occupation.sum(1), torch.ones(1, 9).double())


def test_padding_has_no_influence_even_where_it_is_not_a_number():
    symbol, blank = (arc.detach() for arc in random_arcs(3, 6, batch=2))
    ends = {"num_symbols": lengths(1, 3), "num_frames": lengths(4, 6)}
    for arcs in (symbol, blank):
        arcs[0, :, 4:] = float("nan")
        arcs[0, 2:] = float("nan")
    symbol[0, 1:] = float("nan")
    together = lattice(symbol.requires_grad_(), blank.requires_grad_(), **ends)
    alone = lattice(
        symbol[:1, :1, :4], blank[:1, :2, :4], num_symbols=lengths(1), num_frames=lengths(4)
    )
    assert together.log_prob[0] == alone.log_prob[0]
    together.log_prob.sum().backward()
    assert torch.equal(symbol.grad[:1, :1, :4], alone.symbol_occupation)
    assert torch.isfinite(symbol.grad).all()
    assert symbol.grad[0, 1:].abs().sum() == 0
    assert torch.isfinite(blank.grad).all()


def test_a_band_forbids_the_paths_that_leave_it():
    symbol, blank = random_arcs(2, 4)
    band = torch.tensor([[[1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]]).bool()
    result = lattice(symbol, blank, num_symbols=lengths(2), num_frames=lengths(4), band=band)
    forbidden = ~band[0]
    expected = enumerate_paths(
        symbol[0].masked_fill(forbidden[:-1], -torch.inf),
        blank[0].masked_fill(forbidden, -torch.inf),
        2,
        4,
    )
    torch.testing.assert_close(result.log_prob[0], expected)
    wanted = torch.autograd.grad(expected, (symbol, blank))
    torch.testing.assert_close(result.symbol_occupation, wanted[0])
    torch.testing.assert_close(result.blank_occupation, wanted[1])


def test_without_a_path_the_probability_is_zero_and_so_is_the_gradient():
    symbol, blank = random_arcs(3, 2)
    ends = {"num_symbols": lengths(3), "num_frames": lengths(2)}
    result = lattice(symbol, blank, **ends, one_per_frame=True)
    assert result.log_prob.item() == -torch.inf
    result.log_prob.sum().backward()
    assert symbol.grad.abs().sum() == 0
    assert blank.grad.abs().sum() == 0


def test_long_improbable_lattices_keep_their_precision():
    symbol, blank = random_arcs(20, 1500)
    ends = {"num_symbols": lengths(20), "num_frames": lengths(1500)}
    plain = lattice(symbol, blank, **ends).log_prob
    shifted = lattice(symbol - 20, blank - 20, **ends).log_prob
    torch.testing.assert_close(plain - 20 * 1520, shifted, rtol=1e-12, atol=0)


def test_an_impossible_blank_leaves_the_rest_finite():
    symbol, blank = (arc.detach() for arc in random_arcs(2, 4))
    blank[0, 1, 2] = -torch.inf
    ends = {"num_symbols": lengths(2), "num_frames": lengths(4)}
    result = lattice(symbol, blank, **ends)
    torch.testing.assert_close(result.log_prob[0], enumerate_paths(symbol[0], blank[0], 2, 4))
    assert result.blank_occupation[0, 1, 2] == 0
