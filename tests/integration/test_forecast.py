"""A run beside its forecast, as users type it."""

import re

import pytest

from fairseq_budget.forecast.planned import (
    Forecast,
    PlannedRow,
    Recommended,
    write_forecast,
)
from fairseq_budget.forecast.points import read_points
from fairseq_budget.forecast.schedule import Stage
from tests.conftest import run, train_command
from tests.forecast.pilots import TRUE

pytestmark = pytest.mark.fairseq


@pytest.fixture(scope="module")
def forecast(training, tmp_path_factory):
    """Half of the loss that such a run has had, from the middle of its schedule on."""
    (point,) = read_points([training[0]])
    loss = point.valid_loss / 2
    row = PlannedRow(
        size="tiny", parameters=point.parameters, frames=point.frames, audio_hours=1.0,
        loss=loss, low=0.9 * loss, high=1.1 * loss,
    )  # fmt: skip
    found = Forecast(
        "tera", point.conditions, point.flops, TRUE, 0.01, 9, 0, [row],
        Recommended("tiny", 1.0, point.parameters, point.parameters),
        [Stage(0.5, 1.2, 1.15, 1.25), Stage(1.0, 1.0, 1.0, 1.0)],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("forecast") / "forecast.json"
    write_forecast(path, found)
    return path


def test_validations_are_logged_beside_the_forecast_and_told_to_leave_it(data, tmp_path, forecast):
    done = run(*train_command(
        data, tmp_path, f"task.forecast={forecast}", "dataset.validate_interval_updates=5",
        "dataset.validate_interval=100",
    ))  # fmt: skip
    printed = done.stdout + done.stderr
    lines = [line for line in printed.splitlines() if "| valid on" in line]
    assert ["forecast_loss" in line for line in lines] == [False, True, True, True]
    low, loss, high = (
        float(re.search(rf"forecast_{name} ([\d.]+)", lines[-1])[1])
        for name in ("low", "loss", "high")
    )
    assert low < loss < high
    told = re.findall(r"update (\d+): the validation loss is .* above the .* by now", printed)
    assert told == ["15"]
