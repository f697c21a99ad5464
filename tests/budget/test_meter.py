"""FLOPs spent, and schedules that do not fit their budget."""

import re

import pytest

from fairseq_budget.budget.flops import batch_training_flops, training_flops_per_second
from fairseq_budget.budget.meter import BudgetMeter
from fairseq_budget.budget.schedule import check_schedule
from fairseq_budget.budget.updates import plan_updates
from fairseq_budget.nn.config import EncoderConfig

SLIM = EncoderConfig(size="slim")


class Clock:
    """One second passes between any two looks at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_rate_leaves_out_the_first_update():
    meter = BudgetMeter(peak_flops=100.0, num_devices=2, clock=Clock())
    meter.add(1e6)
    assert (meter.flops_per_second, meter.share_of_peak, meter.hours_left) == (None, None, None)
    meter.add(50.0)
    meter.add(70.0)
    assert meter.flops == 1e6 + 120
    assert meter.flops_per_second == 60.0
    assert meter.share_of_peak == 0.3


def test_budget_is_spent_within_one_update():
    meter = BudgetMeter(budget_flops=25.0, clock=Clock())
    spent = []
    while not meter.exhausted:
        meter.add(10.0)
        spent.append(meter.flops)
    assert spent == [10.0, 20.0, 30.0]
    assert meter.hours_left == 0.0


def test_hours_left_are_at_the_rate_achieved():
    meter = BudgetMeter(budget_flops=3600 * 10.0, clock=Clock())
    for _ in range(1800):
        meter.add(10.0)
    assert meter.hours_left == pytest.approx(0.5)


def test_without_a_budget_nothing_is_ever_spent():
    for budget in (None, 0.0):
        meter = BudgetMeter(budget_flops=budget, clock=Clock())
        meter.add(1e30)
        assert not meter.exhausted
        assert meter.hours_left is None


def test_a_resumed_meter_goes_on_counting_and_times_afresh():
    first = BudgetMeter(budget_flops=100.0, clock=Clock())
    for _ in range(3):
        first.add(10.0)
    second = BudgetMeter(budget_flops=100.0, clock=Clock())
    second.load_state_dict(first.state_dict())
    second.add(10.0)
    assert second.flops == 40.0
    assert second.flops_per_second is None
    second.add(20.0)
    assert second.flops_per_second == 20.0
    assert second.seconds == 3.0


def test_meter_agrees_with_the_planner():
    plan = plan_updates(
        "slim", flops=1e15, gpus=2, seconds_per_gpu=84.0, sequence_s=14.0, hours=None
    )
    meter = BudgetMeter(budget_flops=1e15, clock=Clock())
    updates = 0
    while not meter.exhausted:
        meter.add(2 * batch_training_flops(SLIM, [14 * 16_000] * 6))
        updates += 1
    assert updates == pytest.approx(plan.updates, abs=1)


def test_flops_of_a_batch_are_those_of_its_utterances():
    lengths = [399, 400, 16_000, 250_000]
    whole = batch_training_flops(SLIM, lengths)
    assert whole == sum(batch_training_flops(SLIM, [length]) for length in lengths)
    assert batch_training_flops(SLIM, [160_000]) == 10 * training_flops_per_second(SLIM, 10.0)


def schedule(config=SLIM, *, max_update=400_000, budget_flops=1.33e18, **changes) -> list[str]:
    fields = {"total_num_update": max_update, "seconds_per_update": 156.06, "sequence_s": 14.0}
    return check_schedule(
        config, max_update=max_update, budget_flops=budget_flops, **{**fields, **changes}
    )


def test_the_papers_schedule_fits_its_budget():
    assert schedule(warmup_updates=32_000) == []


def test_another_size_in_slims_schedule_would_be_cut_in_mid_decay():
    (warning,) = schedule(EncoderConfig(size="base"))
    assert "stop there, 53% before the schedule's end" in warning
    assert re.search(r"optimization\.max_update=187\d\d\d,", warning)


def test_a_schedule_that_leaves_budget_unspent_is_a_warning():
    (warning,) = schedule(EncoderConfig(size="slim_30"))
    assert "27% of the budget unspent" in warning


def test_a_schedule_for_another_total_is_a_warning_without_any_budget():
    (cut,) = schedule(total_num_update=800_000, budget_flops=None)
    assert "cut in mid-decay" in cut
    (flat,) = schedule(total_num_update=100_000, budget_flops=None)
    assert "stay at its end" in flat


def test_a_warm_up_longer_than_training_is_a_warning():
    (warning,) = schedule(max_update=1000, budget_flops=None, warmup_updates=32_000)
    assert "never reach its peak" in warning


def test_no_limit_on_updates_is_no_schedule_for_a_budget():
    (warning,) = schedule(max_update=0)
    assert "sets no schedule" in warning
