"""Eden: the published rates, and what every schedule must do."""

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.optim.eden import Eden

UPDATES_PER_EPOCH = 750  # k2SSL Base: 225,000 updates are 300 epochs


@pytest.mark.parametrize(
    ("update", "rate"), [(7500, 0.0322), (20000, 0.0163), (100000, 0.0035), (225000, 0.0015)]
)
def test_rates_of_k2ssl_base(update, rate):
    assert 0.045 * Eden().factor(update, update // UPDATES_PER_EPOCH) == pytest.approx(
        rate, abs=5e-5
    )


def test_warm_up_is_linear_and_ends():
    eden = Eden(lr_updates=1e9, lr_epochs=1e9, warmup_updates=100, warmup_start=0.5)
    assert [eden.factor(n, 0) for n in (0, 50, 100, 200)] == pytest.approx([0.5, 0.75, 1, 1])


def test_without_warm_up_it_starts_at_its_peak():
    assert Eden(warmup_updates=0).factor(1, 0) == pytest.approx(1)


def test_updates_and_epochs_each_make_it_fall():
    eden = Eden(warmup_updates=0)
    assert eden.factor(7500, 0) == pytest.approx(2**-0.25)
    assert eden.factor(0, 10.5) == pytest.approx(2**-0.25)


def test_without_epochs_updates_count_twice():
    eden = Eden(lr_epochs=None, warmup_updates=0)
    assert eden.factor(7500, 100) == pytest.approx(2**-0.5)


@pytest.mark.parametrize("wrong", [{"lr_updates": 0}, {"lr_epochs": -1.0}, {"warmup_start": 1.5}])
def test_impossible_constants_are_refused(wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(BudgetError, match=rf"{name}={value}: expected"):
        Eden(**wrong)


def test_it_drives_any_torch_optimizer():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.4)
    eden = Eden(lr_updates=10, warmup_updates=2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: eden.factor(n + 1, 0))
    rates = []
    for _ in range(12):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.4 * eden.factor(n, 0) for n in range(1, 13)])
