"""budget-plan compare, as users type it."""

from __future__ import annotations

import json

import pytest

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.budget.parameters import num_encoder_parameters
from fairseq_budget.budget.recipes import ENCODER_KEYS, OWN_KEYS
from fairseq_budget.cli.plan.command import main
from fairseq_budget.forecast.planned import Forecast, PlannedRow, Recommended, write_forecast
from tests.forecast.pilots import TRUE
from tests.synthetic import write_tone_corpus

TWO = ["--recipe", "a:size=tiny", "b:size=tiny:2,objective=hubert"]


def rows(capsys, *words: str) -> list[dict]:
    assert main(["compare", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_rows_equal_those_of_params_and_updates(capsys):
    found = rows(capsys, "--flops", "1e15", *TWO)
    assert main(["updates", "--flops", "1e15", "--size", "tiny", "--json"]) == 0
    (planned,) = json.loads(capsys.readouterr().out)
    shared = planned.keys() & found[0].keys() - {"hours", "memory_gib"}
    assert {name: found[0][name] for name in shared} == {name: planned[name] for name in shared}
    assert {"parameters", "updates", "gflops_per_audio_second"} <= shared


def test_the_table_says_what_its_losses_do_not(capsys):
    assert main(["compare", "--flops", "1e15", *TWO, "--tflops", "0.02"]) == 0
    text = capsys.readouterr().out
    assert "losses of tera and hubert are of different kinds" in text
    assert "at 0.02 TFLOP/s on a GPU" in text
    assert "of the data" not in text


def test_repetitions_are_of_the_hours_of_a_folder(capsys, tmp_path):
    manifest = write_tone_corpus(tmp_path, 4)
    manifest.write(tmp_path / "train.tsv")
    found = rows(capsys, "--flops", "1e13", "--data", str(tmp_path), *TWO)[0]
    seconds = sum(utterance.num_samples for utterance in manifest.utterances) / 16000
    assert found["repetitions"] == pytest.approx(3600 * found["audio_hours"] / seconds)


def test_a_file_that_holds_no_recipes_is_named(capsys, tmp_path):
    (tmp_path / "recipes.yaml").write_text("a: 3\n")
    assert main(["compare", "--flops", "1e15", "--recipes", str(tmp_path / "recipes.yaml")]) == 2
    error = capsys.readouterr().err
    assert f"cannot read {tmp_path / 'recipes.yaml'}" in error
    assert "expected recipes" in error


@pytest.fixture
def forecast(tmp_path) -> str:
    """Of tiny and its double at 1e15 FLOPs, with subsampling left out."""
    losses = {"tiny": 2.0, "tiny:2": 1.8}
    planned = [
        PlannedRow(
            size=name, parameters=num_encoder_parameters(find_encoder(name)), frames=1e6,
            audio_hours=5.0, loss=loss, low=loss - 0.1, high=loss + 0.1,
        )
        for name, loss in losses.items()
    ]  # fmt: skip
    conditions = "model.subsample=none task.mask_prob=0.8"
    best = Recommended("tiny:2", 1.0, 1000, 1000)
    path = tmp_path / "forecast.json"
    write_forecast(path, Forecast("tera", conditions, 1e15, TRUE, 0.01, 9, 0, planned, best))
    return str(path)


def test_a_recipe_with_a_forecast_has_a_loss(capsys, forecast):
    recipes = [f"a:size=tiny,forecast={forecast}", f"b:size=tiny:2,forecast={forecast}", "c:"]
    found = rows(capsys, "--flops", "1e15", "--recipe", *recipes)
    assert [row["loss"] for row in found] == [2.0, 1.8, None]
    assert (found[1]["low"], found[1]["high"]) == pytest.approx((1.7, 1.9))


@pytest.mark.parametrize(
    ("recipe", "flops", "complaint"),
    [
        ("a:objective=hubert,size=tiny", "1e15", "is for tera, this run trains hubert"),
        ("a:size=tiny:4", "1e15", "has no size of"),
        ("a:size=tiny", "2e15", "is for 1e+15 FLOPs"),
        ("a:size=tiny,subsample=average", "1e15", "model.subsample"),
    ],
)
def test_a_forecast_of_another_run_is_refused(capsys, forecast, recipe, flops, complaint):
    words = ["--recipe", f"{recipe},forecast={forecast}"]
    assert main(["compare", "--flops", flops, *words]) == 2
    assert complaint in capsys.readouterr().err


def test_help_names_every_key_of_a_recipe(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    words = set(capsys.readouterr().out.translate(str.maketrans(",;.", "   ")).split())
    assert words >= {*OWN_KEYS, *ENCODER_KEYS}
