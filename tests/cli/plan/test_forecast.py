"""budget-plan forecast, as users type it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fairseq_budget.cli.plan.command import main
from fairseq_budget.forecast.planned import read_forecast
from fairseq_budget.forecast.points import read_points, write_points
from tests.forecast.pilots import points

PLANNED = ("--flops", "2e16", "--sequence-seconds", "4", "--size", "tiny", "slim_30", "slim_50")


@pytest.fixture(scope="module")
def pilots(tmp_path_factory):
    made = [
        replace(
            point,
            scores={"ic accuracy": 100 - 5 * point.valid_loss},
            validations=[[0.5, 1.2 * point.valid_loss], [1.0, point.valid_loss]],
        )
        for point in points(noise=0.003)
    ]
    path = tmp_path_factory.mktemp("pilots") / "points.json"
    write_points(path, made)
    return path


def test_a_budget_is_forecast_with_its_size_law_parabolas_and_scores(pilots, tmp_path, capsys):
    out, png = tmp_path / "forecast.json", tmp_path / "forecast.png"
    extras = ["--hours", "100", "--out", str(out), "--png", str(png)]
    assert main(["forecast", str(pilots), *PLANNED, *extras]) == 0
    text = capsys.readouterr().out
    best = read_forecast(out).recommended.size
    for words in (
        "tera for 2e+16 FLOPs, by 12 runs:",
        f"recommended: {best}, the best of these sizes by ",
        "Within 1 % of its loss: ",
        "R* = 150, as HuBERT had it on 0.7 h of speech",
        "By a parabola at each budget",
        "| ic accuracy | 12   | -1.00",
    ):
        assert words in text
    assert png.read_bytes().startswith(b"\x89PNG")


def test_without_hours_no_repetitions_are_counted_and_it_says_so(pilots, capsys):
    assert main(["forecast", str(pilots), *PLANNED]) == 0
    text = capsys.readouterr().out
    assert "All frames are taken to be new ones: give --hours" in text
    assert "times heard" not in text


@pytest.mark.parametrize(("hours", "is_told"), [("10", True), ("1e6", False)])
def test_where_repetitions_count_it_says_how_to_learn_their_worth(pilots, capsys, hours, is_told):
    assert main(["forecast", str(pilots), *PLANNED, "--hours", hours]) == 0
    assert ("`budget-plan pilot --subsets` adds runs" in capsys.readouterr().out) == is_told


def test_json_has_all_of_it(pilots, capsys):
    assert main(["forecast", str(pilots), *PLANNED, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["size"] for row in found["forecast"]["rows"]] == ["tiny", "slim_30", "slim_50"]
    assert len(found["budgets"]) == 3
    assert found["scores"][0]["runs"] == 12


def test_without_a_budget_the_runs_say_what_they_can(pilots, tmp_path, capsys):
    table = tmp_path / "points.tsv"
    assert main(["forecast", str(pilots), "--save", str(table)]) == 0
    text = capsys.readouterr().out
    assert "recommended" not in text
    assert "By a parabola" in text
    assert read_points([table])[0].scores.keys() == {"ic accuracy"}


def test_the_study_tells_a_size_and_no_other_budget(capsys):
    assert main(["forecast", "docs/data/compute_budget_hubert.tsv"]) == 0
    assert "| hubert    | 1.33e+18 | 7 " in capsys.readouterr().out
    assert main(["forecast", "docs/data/compute_budget_hubert.tsv", "--flops", "1e18"]) == 2
    assert "1 budget cannot give the five numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--out", "x.json"), "give --flops"),
        (("--flops", "1e16", "--size", "tinny"), "did you mean tiny"),
        (("--flops", "1e30", "--size", "tiny", "--out", "x.json"), "nothing to write into x.json"),
    ],
    ids=["no budget", "size", "too far"],
)
def test_what_cannot_be_said_is_one_line(pilots, tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    assert main(["forecast", str(pilots), *words]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()
