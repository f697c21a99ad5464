"""Schedules and the explicit randomness of a forward pass."""

import pytest
import torch

from fairseq_budget.nn.zipformer.chance import EVAL, ScheduledFloat
from tests.nn.zipformer.drawn import training


@pytest.mark.parametrize(
    ("count", "value"), [(-1, 0.2), (0, 0.2), (2000, 0.125), (4000, 0.05), (10000, 0.025), (1e9, 0)]
)
def test_a_schedule_is_linear_between_its_points_and_constant_outside(count, value):
    schedule = ScheduledFloat((0, 0.2), (4000, 0.05), (16000, 0.0))
    assert schedule.at(count) == pytest.approx(value)
    assert training(batch_count=count).now(schedule) == pytest.approx(value)


def test_a_plain_number_is_its_own_schedule():
    assert training(batch_count=1e6).now(0.3) == 0.3


def test_nothing_happens_and_nothing_is_dropped_in_eval():
    x = torch.ones(4, 3, 2)
    assert not any(EVAL.happens(1.0) for _ in range(10))
    assert EVAL.dropout(x, 0.9) is x
    assert EVAL.skip_utterances(x, 0.9) is x
    assert EVAL.keep((4, 1, 1), 0.9, x) is None


def test_the_same_generator_gives_the_same_events_whatever_the_global_state():
    def events(seed: int) -> tuple[list[bool], list[float]]:
        torch.rand(3)  # moves the global state on
        chance = training(seed)
        return [chance.happens(0.5) for _ in range(40)], chance.dropout(
            torch.ones(40), 0.5
        ).tolist()

    before = torch.random.get_rng_state()
    assert events(1) == events(1)
    assert events(1)[0] != events(2)[0]
    assert events(1)[1] != events(2)[1]
    torch.random.set_rng_state(before)
    training(1).happens(0.5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_events_happen_as_often_as_they_should():
    chance = training()
    assert sum(chance.happens(0.3) for _ in range(4000)) / 4000 == pytest.approx(0.3, abs=0.03)
    kept = chance.keep((4000,), 0.3, torch.ones(1))
    assert float(kept.mean()) == pytest.approx(0.7, abs=0.03)


def test_skipped_utterances_are_zero_and_the_others_unchanged():
    x = torch.rand(200, 3, 2) + 0.1
    y = training().skip_utterances(x, 0.5)
    skipped = (y == 0).all(2).all(1)
    assert 60 < int(skipped.sum()) < 140
    assert torch.equal(y[~skipped], x[~skipped])


def test_dropout_keeps_the_mean():
    y = training().dropout(torch.ones(20000), 0.25)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(y.mean()) == pytest.approx(1, abs=0.02)
