"""What is said of planned runs, and what is refused."""

import json
from dataclasses import asdict, replace

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.forecast.fit import fit
from fairseq_budget.forecast.planned import (
    forecast,
    read_forecast,
    read_plan,
    write_forecast,
)
from fairseq_budget.forecast.schedule import Stage
from tests.forecast.pilots import TRUE, points

CONDITIONS = "model.encoder_type=transformer task.mask_prob=0.8"
FLOPS = 2e16


@pytest.fixture(scope="module")
def found():
    return fit(points(noise=0.003, conditions=CONDITIONS), seed=0, num_draws=20)


def plan(found, *sizes: str, flops: float = FLOPS, hours: float | None = None):
    return forecast(
        found, [read_plan(size) for size in sizes], flops=flops, sequence_s=4.0, hours=hours
    )


def test_a_size_within_reach_has_a_loss_near_the_true_one(found):
    (row,) = plan(found, "slim_30").rows
    assert row.loss == pytest.approx(TRUE.loss(row.parameters, row.frames), rel=0.02)
    assert row.low < row.loss < row.high
    assert row.frames == pytest.approx(row.audio_hours * 3600 * 50)
    assert (row.as_good, row.repetitions, row.refused) == (True, None, None)


def test_the_size_with_the_least_loss_is_recommended(found):
    made = plan(found, "tiny", "slim_30", "slim_50")
    losses = {row.size: row.loss for row in made.rows if row.loss}
    assert made.recommended.size == min(losses, key=losses.get) == made.recommended_row.size
    assert 0 < made.recommended.share <= 1
    assert made.recommended.edge == {"tiny": "smallest", "slim_50": "largest"}.get(
        made.recommended.size
    )
    assert made.recommended.low <= made.recommended.high
    flat = {row.size for row in made.rows if row.as_good}
    assert flat == {s for s, loss in losses.items() if loss <= 1.01 * min(losses.values())}


@pytest.mark.parametrize(
    ("size", "flops", "words"),
    [
        ("slim_30", 1e19, "FLOPs: 625 times beyond the runs, 40 at most"),
        ("slim_30", 1e13, "FLOPs: 100 times beyond the runs"),
        ("large", FLOPS, "parameters: "),
        ("zipformer_tiny", FLOPS, "the runs have another encoder"),
    ],
)
def test_what_is_too_far_from_the_runs_is_refused(found, size, flops, words):
    made = plan(found, size, flops=flops)
    (row,) = made.rows
    assert row.refused.startswith(words)
    assert (row.loss, made.recommended, made.recommended_row) == (None, None, None)


def test_runs_that_leave_all_open_are_refused(found):
    open_laws = [(law, 100 * noise) for law, noise in found.drawn]
    (row,) = plan(replace(found, drawn=open_laws), "slim_30").rows
    assert "the runs do not tell: 80 % are" in row.refused


def test_a_corpus_that_is_repeated_is_worth_less(found):
    fresh = plan(found, "slim_30")
    hours = fresh.rows[0].audio_hours / 4
    little = plan(found, "slim_30", hours=hours)
    assert little.rows[0].repetitions == pytest.approx(4)
    assert little.rows[0].loss > fresh.rows[0].loss


def test_runs_that_show_no_effect_of_size_are_asked_for_their_own_sizes(found):
    blind = replace(found, law=replace(found.law, size_factor=0.0))
    small, large = plan(blind, "slim_30", "base").rows
    assert small.refused is None
    assert large.refused.startswith("parameters: the runs show no effect of size, and theirs are")


def test_nobody_knows_what_five_thousand_repetitions_are_worth(found):
    (row,) = plan(found, "slim_30", hours=plan(found, "slim_30").rows[0].audio_hours / 5000).rows
    assert "the runs do not tell: 80 % are" in row.refused


def test_a_forecast_is_read_as_it_was_written(found, tmp_path):
    made = plan(found, "slim_30", "large")
    write_forecast(tmp_path / "forecast.json", made)
    assert read_forecast(tmp_path / "forecast.json") == made


def test_a_forecast_of_nothing_is_not_written(found, tmp_path):
    with pytest.raises(BudgetError, match=r"nothing to write .*large: parameters"):
        write_forecast(tmp_path / "forecast.json", plan(found, "large"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 9}, "its format is 9, expected 1"),
        ({"flops": -1}, "flops is -1"),
        ({"rows": [{"size": "tiny"}]}, r"rows\[0\] has no audio_hours, frames, parameters"),
    ],
)
def test_another_file_is_no_forecast(found, tmp_path, change, words):
    path = tmp_path / "forecast.json"
    path.write_text(json.dumps(asdict(plan(found, "slim_30")) | change))
    with pytest.raises(BudgetError, match=rf"forecast\.json .*{words}.*budget-plan forecast"):
        read_forecast(path)


def test_an_interval_that_is_upside_down_is_refused(found, tmp_path):
    made = plan(found, "slim_30")
    row = replace(made.rows[0], low=9.0)
    write_forecast(tmp_path / "a.json", replace(made, rows=[row]))
    with pytest.raises(BudgetError, match="low, loss and high of slim_30"):
        read_forecast(tmp_path / "a.json")


def test_stages_that_are_out_of_order_are_refused(found, tmp_path):
    stages = [Stage(0.5, 1.2, 1.1, 1.3), Stage(0.25, 1.0, 1.0, 1.0)]
    write_forecast(tmp_path / "a.json", replace(plan(found, "slim_30"), stages=stages))
    with pytest.raises(BudgetError, match="its stages are not in order"):
        read_forecast(tmp_path / "a.json")


def test_a_size_takes_fields_of_the_model():
    made = read_plan("tiny,encoder_layers=6,subsample=conv")
    assert (made.encoder.encoder_layers, made.encoder.subsample) == (6, "conv")
    for text, words in (
        ("tinny", "did you mean tiny"),
        ("tiny,encoder_layer=6", "did you mean encoder_layers"),
        ("tiny,encoder_layers=six", r"model\.encoder_layers"),
    ):
        with pytest.raises(BudgetError, match=words):
            read_plan(text)
