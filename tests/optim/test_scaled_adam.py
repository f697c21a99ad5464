"""ScaledAdam: the published equations, batched; its clipping; its state."""

import copy
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fairseq_budget.errors import BudgetError
from fairseq_budget.optim.scaled_adam import ScaledAdam
from tests.optim.reference import Reference

pytestmark = pytest.mark.slow

SHAPES = [(8, 4), (4, 8), (8, 4), (32,), (3, 2, 5), (7,), (1,), (), (5, 6), (8, 4), (2, 1)]


def parameters(dtype=torch.float64, seed=0):
    """Tensors of equal and unequal sizes; scalars; one of zeros, a tiny and a large one."""
    generator = torch.Generator().manual_seed(seed)
    params = [torch.randn(shape, generator=generator, dtype=dtype) for shape in SHAPES]
    params[3].zero_()
    params[4] *= 1e-6
    params[8] *= 2.99 / params[8].pow(2).mean().sqrt()
    params[6] += 10
    return [torch.nn.Parameter(p) for p in params]


def set_gradients(params, update, scale=1.0):
    """A pull towards other values, noise, and now and then a burst that is clipped."""
    generator = torch.Generator().manual_seed(1000 + update)
    burst = 30.0 if update % 17 == 16 else 1.0
    for i, p in enumerate(params):
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        pull = p.detach().double() - (0.5 if i % 2 else 30.0)
        p.grad = ((0.3 * pull + noise) * burst * scale).to(p.dtype)


@pytest.mark.parametrize(("lr", "clipping_scale"), [(0.045, 2.0), (0.045, None), (0.3, 2.0)])
def test_three_hundred_updates_equal_the_published_equations(lr, clipping_scale):
    ours, theirs = parameters(), parameters()
    optimizer = ScaledAdam(ours, lr, clipping_scale=clipping_scale)
    reference = Reference(theirs, lr, clipping_scale=clipping_scale)
    for update in range(300):
        for params in (ours, theirs):
            set_gradients(params, update)
        optimizer.step()
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, atol=1e-9, rtol=1e-9)
    if clipping_scale:
        threshold = optimizer.param_groups[0]["threshold"].item()
        assert threshold == pytest.approx(reference.threshold)
        assert max(reference.norms) > threshold  # something was clipped


def test_in_float32_every_update_equals_the_published_equations():
    """Both begin every update with the same values, so that rounding does not add up."""
    ours = parameters(torch.float32)
    theirs = [torch.nn.Parameter(p.detach().double()) for p in ours]
    optimizer, reference = ScaledAdam(ours), Reference(theirs)
    for update in range(200):
        for params in (ours, theirs):
            set_gradients(params, update)
        optimizer.step()
        reference.step()
        for p, q in zip(ours, theirs, strict=True):
            torch.testing.assert_close(p.double(), q, atol=1e-6, rtol=1e-6)
            q.data.copy_(p.data)


def train(optimizer, params, updates, scale=1.0):
    for update in updates:
        set_gradients(params, update, scale)
        optimizer.step()


def test_a_restored_optimizer_goes_on_with_the_very_same_numbers(tmp_path):
    params = parameters(torch.float32)
    optimizer = ScaledAdam(params)
    train(optimizer, params, range(55))
    others = [torch.nn.Parameter(p.detach().clone()) for p in params]
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    train(optimizer, params, range(55, 120))
    restored = ScaledAdam(others, lr=1.0)  # settings come with the state
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    train(restored, others, range(55, 120))
    for p, q in zip(params, others, strict=True):
        assert torch.equal(p, q)


def test_a_copied_optimizer_leaves_the_original_alone():
    params = parameters(torch.float32)
    optimizer = ScaledAdam(params)
    train(optimizer, params, range(3))
    before = copy.deepcopy(optimizer.state_dict())
    pair = copy.deepcopy((params, optimizer))
    train(pair[1], pair[0], range(3, 9))
    for index, state in optimizer.state_dict()["state"].items():
        assert all(torch.equal(state[name], before["state"][index][name]) for name in state)


def test_state_belongs_to_its_tensor_and_not_to_a_batch():
    params = parameters()
    optimizer = ScaledAdam(params)
    train(optimizer, params, range(5))
    for p in params:
        assert optimizer.state[p]["exp_avg_sq"].shape == p.shape
        assert ("param_rms" in optimizer.state[p]) == (p.numel() > 1)
    assert optimizer.state[params[4]]["param_rms"] != optimizer.state[params[8]]["param_rms"]


def test_memory_is_that_of_the_state():
    params = [torch.nn.Parameter(torch.ones(10, 10)) for _ in range(3)]
    optimizer = ScaledAdam(params)
    assert optimizer.num_state_bytes() == 0
    train(optimizer, params, range(1))
    assert optimizer.num_state_bytes() == 4 * (3 * (2 * 100 + 7) + 100)


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_the_scale_of_the_gradients_does_not_matter(scale):
    ours, theirs = parameters(), parameters()
    a, b = ScaledAdam(ours, eps=1e-20), ScaledAdam(theirs, eps=1e-20)
    for update in range(60):
        set_gradients(ours, update)
        for p, q in zip(ours, theirs, strict=True):
            q.grad = p.grad * scale
        a.step()
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q)


def test_the_size_of_a_tensor_sets_the_size_of_its_updates():
    small, large = (torch.nn.Parameter(s * torch.linspace(-1, 1, 50)) for s in (0.01, 1.0))
    before = [small.detach().clone(), large.detach().clone()]
    optimizer = ScaledAdam([small, large], lr=0.01)
    small.grad = large.grad = torch.linspace(1, -1, 50).roll(7)
    optimizer.step()
    moved = [(p - b).norm() / b.norm() for p, b in zip([small, large], before, strict=True)]
    assert moved[0].item() == pytest.approx(moved[1].item(), rel=1e-4)
    assert moved[0].item() < 0.01


def test_the_rate_of_a_group_is_scaled():
    whole, half = (torch.nn.Parameter(torch.linspace(-1, 1, 50)) for _ in range(2))
    groups = [{"params": [whole]}, {"params": [half], "lr_scale": 0.5}]
    optimizer = ScaledAdam(groups, lr=0.01)
    whole.grad = half.grad = torch.linspace(1, -1, 50).roll(7)
    start = whole.detach().clone()
    optimizer.step()
    torch.testing.assert_close(half - start, (whole - start) / 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("when", [0, 30])
def test_a_gradient_that_is_not_finite_counts_as_zero(bad, when):
    ours, theirs = parameters(), parameters()
    pair = [(ScaledAdam(params, clipping_scale=None), params) for params in (ours, theirs)]
    for update in range(40):
        for optimizer, params in pair:
            set_gradients(params, update)
            if update == when:
                for p in params:
                    p.grad.zero_()
                if params is ours:
                    params[1].grad[0, 0] = bad
            optimizer.step()
    for p, q in zip(ours, theirs, strict=True):
        assert torch.equal(p, q)


def test_gradients_that_are_mostly_not_finite_end_the_run():
    params = parameters()
    optimizer = ScaledAdam(params)
    with pytest.raises(FloatingPointError, match="median of the last 10 gradient norms is nan"):
        train(optimizer, params, range(20), scale=math.nan)


class CountReads(TorchDispatchMode):
    """Counts what makes a host wait for its device."""

    def __init__(self) -> None:
        super().__init__()
        self.num_reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        reads = ("aten._local_scalar_dense", "aten.nonzero", "aten.is_nonzero", "aten.equal")
        self.num_reads += str(func).startswith(reads)
        return func(*args, **(kwargs or {}))


def test_the_host_reads_nothing_back_but_at_a_new_threshold():
    params = parameters(torch.float32)
    optimizer = ScaledAdam(params)
    waited_at = []
    for update in range(210):
        set_gradients(params, update)
        with CountReads() as count:
            optimizer.step()
        waited_at += [update] * count.num_reads
    assert waited_at == [10, 20, 40, 100, 200]


def test_a_missing_gradient_counts_as_zero():
    ours, theirs = parameters(), parameters()
    pair = [(ScaledAdam(params), params) for params in (ours, theirs)]
    for update in range(12):
        for optimizer, params in pair:
            set_gradients(params, update)
            if update % 3 == 0:
                params[2].grad = None if params is ours else torch.zeros_like(params[2])
            optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("frozen", [4, 600])
def test_a_tensor_that_thaws_later_starts_as_if_it_were_the_first_update(frozen):
    late, fresh = parameters(), parameters()
    late[6].data.clamp_(max=10)  # as the first update does, frozen or not
    fresh[6].data.clamp_(max=10)
    other = torch.nn.Parameter(torch.ones(3))  # trains from the first update on
    optimizer = ScaledAdam([*late, other], clipping_scale=None)
    for _ in range(frozen):
        other.grad = torch.ones(3)
        optimizer.step()
    train(optimizer, late, range(30))
    train(ScaledAdam(fresh, clipping_scale=None), fresh, range(30))
    for p, q in zip(late, fresh, strict=True):
        torch.testing.assert_close(p, q)


def test_parameters_in_half_precision_are_refused():
    with pytest.raises(BudgetError, match=r"torch\.bfloat16.*float32 copies"):
        ScaledAdam([torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))])


def test_it_fits_a_line():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 3, generator=generator)
    target = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.3
    weight = torch.nn.Parameter(0.1 * torch.randn(3, generator=generator))
    bias = torch.nn.Parameter(torch.zeros(()))
    optimizer = ScaledAdam([weight, bias], lr=0.05)
    for _ in range(400):
        loss = optimizer.step(lambda: closure(x, target, weight, bias))
    assert loss.item() < 0.01


def closure(x, target, weight, bias):
    weight.grad = bias.grad = None
    loss = (x @ weight + bias - target).square().mean()
    loss.backward()
    return loss
