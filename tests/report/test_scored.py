"""Scores of both files are read as one kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.report.scored import read_scored
from tests.report.test_pages import write_comparison

CELL = {
    "task": "asr",
    "upstream": "tera",
    "metric": "WER",
    "test_percent": 20.04,
    "spread_percent": 1.04,
    "valid_percent": 18.0,
    "learning_rate": 0.01,
    "num_seeds": 2,
    "sha256": "cac2fa7bde5f",
    "command": "s3prl run_downstream.py -m train",
    "layer_weights": [0.25, 0.75],
}


def write_superb(folder: Path, *cells: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "superb.json").write_text(json.dumps([{**CELL, **cell} for cell in cells]))
    return folder / "superb.json"


def test_a_cell_of_superb_comes_with_how_it_was_made(tmp_path):
    (score,) = read_scored(write_superb(tmp_path, {}))
    assert (score.task, score.metric, score.score) == ("asr", "WER", "20.0 ± 1.0")
    assert score.facts == {
        "learning rate": "0.01", "validation": "18.0", "seeds": "2", "folds": "1",
        "weights": "cac2fa7bde5f",
    }  # fmt: skip
    assert score.commands == ("s3prl run_downstream.py -m train",)
    assert score.layer_weights == (0.25, 0.75)


def test_where_nothing_is_learned_a_layer_is_chosen(tmp_path):
    (score,) = read_scored(write_superb(tmp_path, {"learning_rate": None, "layer": 0}))
    assert "learning rate" not in score.facts
    assert score.facts["layer"] == "0"


@pytest.mark.parametrize("chosen", [(None, None), (0.01, 3)], ids=["neither", "both"])
def test_a_cell_of_both_or_neither_is_none(tmp_path, chosen):
    cell = dict(zip(("learning_rate", "layer"), chosen, strict=True))
    with pytest.raises(BudgetError, match=r"cannot read .*superb\.json .*expected one of them"):
        read_scored(write_superb(tmp_path, cell))


def test_scores_of_folds_say_of_how_many(tmp_path):
    (score,) = read_scored(write_superb(tmp_path, {"num_folds": 5}))
    assert score.facts["folds"] == "5"


def test_one_seed_has_no_spread_and_one_layer_no_weights(tmp_path):
    (score,) = read_scored(write_superb(tmp_path, {"spread_percent": None, "layer_weights": None}))
    assert (score.score, score.layer_weights) == ("20.0", None)


def test_a_comparison_has_the_commands_of_all_seeds(tmp_path):
    runs = [
        {
            "upstream": name,
            "seed": seed,
            "test": 0.5,
            "layer_weights": [seed / 2, 1 - seed / 2],
            "key": {"command": f"s3prl {name} {seed}", "checkpoint_sha256": "ab"},
        }
        for name in ("tera", "untrained")
        for seed in (0, 1)
    ]
    rows = [{"upstream": "tera", "test accuracy (%)": "50.0 ± 0.0", "valid (%)": "60.0"}]
    (score,) = read_scored(write_comparison(tmp_path / "ic", runs=runs, table=rows))
    assert (score.task, score.metric, score.score) == ("ic", "accuracy", "50.0 ± 0.0")
    assert score.facts == {
        "learning rate": "the task's own", "validation": "60.0", "seeds": "0, 1", "weights": "ab",
    }  # fmt: skip
    assert score.commands == ("s3prl tera 0", "s3prl tera 1")
    assert score.layer_weights == (0.25, 0.75)


@pytest.mark.parametrize(
    "content",
    ["{}", "[1]", "[{}]", json.dumps([{**CELL, "test_percent": -1}]), '{"task": "ic"}', "[", ""],
    ids=["empty", "number", "nothing", "negative", "half", "cut", "no text"],
)
def test_anything_else_is_refused_by_name(tmp_path, content):
    (tmp_path / "odd.json").write_text(content)
    with pytest.raises(BudgetError, match=r"odd\.json.*budget-downstream"):
        read_scored(tmp_path / "odd.json")
