"""What `budget-plan pilot` lays out is what a forecast takes."""

import numpy as np
import pytest

from fairseq_budget.budget.families import family, find_encoder
from fairseq_budget.budget.parameters import num_encoder_parameters
from fairseq_budget.budget.pilot import design
from fairseq_budget.budget.pilot_grid import Setting
from fairseq_budget.budget.presets import read_preset
from fairseq_budget.forecast.checks import require_enough
from fairseq_budget.forecast.fit import fit
from fairseq_budget.forecast.planned import forecast, read_plan
from fairseq_budget.forecast.points import Point
from tests.conftest import ROOT
from tests.forecast.pilots import TRUE

FLOPS = 1e17


@pytest.fixture(scope="module")
def finished() -> list[Point]:
    """The runs of a pilot, with losses of a known law and little noise."""
    setting = Setting(
        preset=read_preset(ROOT / "examples/budget_tera_demo.yaml"),
        update_s=16.0, sequence_s=4.0, data_hours=1e9, max_tokens=256000,
    )  # fmt: skip
    sizes = {name: find_encoder(name) for name in family("tiny")}
    runs = design(sizes, setting, flops=FLOPS, share=0.1, num_budgets=3, seeds=[1]).runs
    generator = np.random.default_rng(0)
    points = []
    for run in runs:
        parameters, frames = num_encoder_parameters(sizes[run.size]), run.audio_hours * 3600 * 50
        loss = TRUE.loss(parameters, frames) * np.exp(0.002 * generator.standard_normal())
        points.append(
            Point(
                name=run.run, objective="tera", parameters=parameters, frames=frames,
                flops=0.996 * run.flops, valid_loss=float(loss),
            )
        )  # fmt: skip
    return points


def test_its_runs_are_enough_and_near_enough(finished):
    require_enough(finished)
    plans = [read_plan(name) for name in ("tiny:4", "tiny:8", "tiny:16")]
    made = forecast(fit(finished, 0, 20), plans, flops=FLOPS, sequence_s=4.0, hours=None)
    assert [row.refused for row in made.rows] == [None] * 3
    for row in made.rows:
        assert row.loss == pytest.approx(TRUE.loss(row.parameters, row.frames), rel=0.05)
