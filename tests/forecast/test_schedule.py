"""How far a run is above its end, learned from the pilots at the same share of theirs."""

from dataclasses import replace

import pytest

from fairseq_budget.forecast.schedule import Expected, expected_at, learn_stages
from tests.forecast.pilots import points

END = Expected(2.0, 1.9, 2.2)


def pilots(*ratios: float):
    """Runs that are `ratio` times their final loss after half of their updates."""
    return [
        replace(point, validations=[[0.25, 3.0 * point.valid_loss], [0.5, ratio * point.valid_loss],
                                    [1.0, point.valid_loss]])
        for point, ratio in zip(points(), ratios, strict=False)
    ]  # fmt: skip


def test_pilots_that_fall_alike_leave_the_interval_of_the_end():
    stages = learn_stages(pilots(1.5, 1.5, 1.5))
    assert (stages[0].share, stages[-1].share) == (0.25, 1.0)
    half = expected_at(END, stages, 0.5)
    assert [half.loss, half.low, half.high] == pytest.approx([3.0, 1.5 * 1.9, 1.5 * 2.2])
    end = expected_at(END, stages, 1.0)
    assert [end.loss, end.low, end.high] == pytest.approx([2.0, 1.9, 2.2])


def test_pilots_that_fall_differently_widen_it_on_the_way():
    stages = learn_stages(pilots(1.4, 1.5, 1.6))
    half = expected_at(END, stages, 0.5)
    assert half.loss == pytest.approx(3.0, rel=0.01)
    assert half.low < 1.5 * 1.9
    assert half.high > 1.5 * 2.2


def test_between_stages_there_is_a_line():
    stages = learn_stages(pilots(1.5, 1.5, 1.5))
    assert 3.0 < expected_at(END, stages, 0.45).loss < 6.0


def test_before_the_first_validations_nothing_is_expected():
    stages = learn_stages(pilots(1.5, 1.5, 1.5))
    assert expected_at(END, stages, 0.2) is None


def test_two_runs_tell_no_stage():
    assert learn_stages(pilots(1.5, 1.5)) == []
    assert expected_at(END, [], 0.5) is None
