"""A run is compared with a forecast of its own kind, and told where it leaves it."""

from dataclasses import replace

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.forecast.planned import Forecast, PlannedRow, write_forecast
from fairseq_budget.forecast.running import Running
from fairseq_budget.forecast.schedule import Stage
from tests.forecast.pilots import TRUE

ROW = PlannedRow(
    size="tiny", parameters=1000, frames=1e6, audio_hours=5.0, loss=2.0, low=1.9, high=2.1
)
FORECAST = Forecast(
    "tera", "task.mask_prob=0.8", 1e15, TRUE, 0.01, 9, 0, [ROW],
    stages=[Stage(0.5, 1.5, 1.45, 1.55), Stage(1.0, 1.0, 1.0, 1.0)],
)  # fmt: skip
OWN = {
    "objective": "tera", "conditions": "task.mask_prob=0.8", "parameters": 1000, "flops": 1.01e15,
}  # fmt: skip


def running(tmp_path, found=FORECAST, **changes):
    from fairseq_budget.forecast.planned import Recommended

    path = tmp_path / "forecast.json"
    write_forecast(path, replace(found, recommended=Recommended("tiny", 1.0, 1000, 1000)))
    return Running(path, **{**OWN, **changes})


def judged(tmp_path, *losses):
    run = running(tmp_path)
    return [run.judge(loss, run.at(1.0)) for loss in losses], run


def test_a_run_on_its_way_is_compared_with_pilots_on_theirs(tmp_path):
    run = running(tmp_path)
    assert run.at(0.4) is None
    assert run.at(0.5).loss == pytest.approx(3.0)
    assert run.at(1.0).low == pytest.approx(1.9)


def test_two_validations_outside_on_one_side_are_told(tmp_path):
    told, run = judged(tmp_path, 2.0, 2.2, 2.3)
    assert told[:2] == [None, None]
    assert "is 2.3, above the 1.9 to 2.1 that" in told[2]
    assert "for 2 validations: likely a learning rate" in told[2]
    assert run.is_above
    told, run = judged(tmp_path, 1.8, 1.8)
    assert "below" in told[1]
    assert "an easier validation set" in told[1]
    assert not run.is_above


@pytest.mark.parametrize("losses", [(2.2, 2.0, 2.2), (2.2, 1.8, 2.2), (2.0, 2.05, 1.95)], ids=str)
def test_one_validation_outside_is_nothing_to_tell(tmp_path, losses):
    assert judged(tmp_path, *losses)[0] == [None, None, None]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": "hubert"}, "is for tera, this run trains hubert"),
        ({"conditions": "task.mask_prob=0.65"}, r"differ in task\.mask_prob \(0\.8, 0\.65\)"),
        ({"parameters": 999}, r"no size of 999 encoder parameters: it has tiny \(1,000\)"),
        ({"flops": 2e15}, r"is for 1e\+15 FLOPs, this run spends 2e\+15: .*--flops 2e\+15"),
    ],
    ids=["objective", "conditions", "size", "budget"],
)
def test_a_forecast_of_another_run_is_refused(tmp_path, changes, words):
    with pytest.raises(BudgetError, match=words):
        running(tmp_path, **changes)


def test_a_size_that_was_refused_has_no_forecast(tmp_path):
    far = replace(ROW, size="large", parameters=7, loss=None, low=None, high=None, refused="far")
    with pytest.raises(BudgetError, match="has no forecast of large: far"):
        running(tmp_path, replace(FORECAST, rows=[ROW, far]), parameters=7)


def test_runs_that_were_not_validated_on_the_way_cannot_be_compared_with(tmp_path):
    with pytest.raises(BudgetError, match=r"does not say how losses fall on the way"):
        running(tmp_path, replace(FORECAST, stages=[]))
