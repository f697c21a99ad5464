"""Hours, FLOPs and time left, as they are logged."""

import logging

import pytest

pytestmark = pytest.mark.fairseq

LOGS = [{"audio_seconds": 18.0, "flops": 1e9}, {"audio_seconds": 18.0, "flops": 2e9}]


@pytest.fixture
def clock(monkeypatch):
    now = {"s": 100.0}
    monkeypatch.setattr("time.monotonic", lambda: now["s"])
    return now


def progress(clock, **options):
    from fairseq_budget.budget.meter import BudgetMeter
    from fairseq_budget.tasks._progress import Progress

    return Progress(BudgetMeter(clock=lambda: clock["s"], **options), max_update=100)


def logged(own, update):
    from fairseq.logging import metrics

    with metrics.aggregate(new_root=True) as found:
        own.add(LOGS, update)
    return found.get_smoothed_values()


def test_hours_and_flops_add_up_over_workers_and_updates(clock):
    own = progress(clock)
    assert logged(own, 0)["audio_hours"] == pytest.approx(0.01)
    values = logged(own, 1)
    assert values["audio_hours"] == pytest.approx(0.02)
    assert values["flops"] == 6e9


def test_time_left_is_measured_from_the_first_update_of_this_process(clock):
    own = progress(clock)
    assert "eta_hours" not in logged(own, 49)
    clock["s"] += 3600
    assert logged(own, 59)["eta_hours"] == pytest.approx(4.0)  # ten in an hour; 40 are left


def test_speed_and_hours_to_the_end_of_the_budget_are_logged(clock):
    own = progress(clock, budget_flops=12e9, peak_flops=1e9)
    logged(own, 0)
    clock["s"] += 6
    values = logged(own, 1)
    assert values["flop_per_s"] == pytest.approx(0.5e9)
    assert values["share_of_peak"] == pytest.approx(0.5)
    assert values["budget_left_hours"] == pytest.approx(12 / 3600, abs=1e-4)


def test_a_resumed_run_takes_up_its_counts(clock):
    first, second = progress(clock), progress(clock)
    logged(first, 0)
    second.load_state_dict(first.state_dict())
    theirs, ours = logged(first, 1), logged(second, 1)
    assert [ours[key] == theirs[key] for key in ("audio_hours", "flops")] == [True, True]


@pytest.mark.parametrize(("share", "num_warnings"), [(0.3, 1), (0.1, 0)])
def test_a_loader_that_cannot_keep_up_says_so_once(clock, caplog, share, num_warnings):
    from fairseq.logging import metrics

    caplog.set_level(logging.WARNING)
    own = progress(clock)
    with metrics.aggregate(new_root=True) as found:
        for update in range(500):
            own.add(LOGS, update, waited_s=50 + share * update)  # 50 s for the first batch
            clock["s"] += 1
    assert found.get_smoothed_values()["data_wait"] == pytest.approx(share)
    assert caplog.text.count("dataset.num_workers (-1 takes the cores") == num_warnings
    assert caplog.text.count(f"{share:.0%} of the time") == num_warnings
