"""Runs and tables become points, or are refused by name."""

import json
from dataclasses import replace

import pytest

from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.errors import BudgetError
from fairseq_budget.forecast.points import Point, corpus_hours, read_points, write_points
from tests.forecast.pilots import points, write_pilot
from tests.report.test_curve import write_scores

LOSSES = {10: 2.5, 20: 2.0}


def test_a_run_is_a_point_by_its_encoder_and_its_objective(tmp_path):
    (point,) = read_points([write_pilot(tmp_path / "small", losses=LOSSES)])
    assert (point.name, point.objective, point.size, point.seed) == ("small", "tera", "tiny", 3)
    assert point.parameters == count_parameters("tiny").encoder
    assert (point.frames, point.flops) == (3600 * 50, 1e12)
    assert point.unique_frames == 3600 * 50 / 2.5  # 2.5 epochs
    assert point.valid_loss == 2.0  # without the penalties
    assert point.unexplained == 0.9
    assert point.validations == [[0.5, 2.5], [1.0, 2.0]]
    assert point.corpus == "b" * 12
    assert point.conditions.split() == [
        "lr_scheduler._name=polynomial_decay",
        "model.encoder_type=transformer",
        "model.frontend=conv",
        "model.target=mfcc",
        "task.mask_prob=0.8",
        f"valid.manifest={'a' * 12}",
    ]


def test_scores_of_a_run_are_those_below_it_and_the_best_of_its_probes(tmp_path):
    folder = write_pilot(tmp_path / "small", losses=LOSSES)
    write_scores(folder / "ic", "ic", [0.5, 0.7])
    answers = [{"phones": 0.1}, {"phones": 0.3, "layer": 0}, {"phones": 0.2, "layer": 1}]
    rows = [{"checkpoint": "a", **answer} for answer in answers]
    (folder / "probe.json").write_text(json.dumps({"rows": rows}))
    (point,) = read_points([folder])
    assert point.scores == {"ic accuracy": pytest.approx(60.0), "phones, accuracy": 30.0}


def test_runs_of_two_sweeps_are_named_by_what_tells_them_apart(tmp_path):
    folders = [write_pilot(tmp_path / budget / "tiny", losses=LOSSES) for budget in ("1e9", "2e9")]
    assert [point.name for point in read_points(folders)] == ["1e9/tiny", "2e9/tiny"]


def test_a_run_that_heard_little_of_its_corpus_has_its_length_from_others(tmp_path):
    first, *_ = points()
    made = [
        replace(first, name=f"{place}", corpus=corpus, unique_frames=unique)
        for place, (corpus, unique) in enumerate([("a", None), ("a", 9e6), ("b", None)])
    ]
    write_points(tmp_path / "points.json", made)
    assert [p.unique_frames for p in read_points([tmp_path / "points.json"])] == [9e6, 9e6, None]


@pytest.mark.parametrize("name", ["points.tsv", "points.json"])
def test_points_that_are_saved_are_read_again(tmp_path, name):
    made = [*points(), *read_points([write_pilot(tmp_path / "run", losses=LOSSES)])]
    write_points(tmp_path / name, made)
    found = read_points([tmp_path / name])
    if name.endswith(".tsv"):
        assert found[-1].validations == []
        found[-1] = made[-1]
    assert found == made


def test_a_table_by_hand_needs_a_few_columns_only(tmp_path):
    path = tmp_path / "paper.tsv"
    path.write_text(
        "name\tobjective\tparameters\tframes\tflops\tvalid_loss\na\thubert\t1000\t2e6\t1e18\t4.5\n"
    )
    assert read_points([path]) == [
        Point(name="a", objective="hubert", parameters=1000, frames=2e6, flops=1e18, valid_loss=4.5)
    ]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("valid_loss", "-1", r"row 1: the point\.valid_loss is -1"),
        ("valid_loss", "nan", "valid_loss"),
        ("parameters", "many", "could not convert string to float: 'many'"),
        ("frames", "", "the point has no frames"),
        ("tempo", "3", "tempo, which is not known"),
    ],
)
def test_a_number_that_cannot_be_is_named(tmp_path, column, value, words):
    cells = {
        "name": "a", "objective": "tera", "parameters": "10", "frames": "20", "flops": "30",
        "valid_loss": "1", column: value,
    }  # fmt: skip
    path = tmp_path / "points.tsv"
    path.write_text("\n".join("\t".join(row) for row in (cells.keys(), cells.values())))
    with pytest.raises(BudgetError, match=words):
        read_points([path])


def test_the_corpus_of_runs_is_the_largest_if_all_of_them_tell():
    hour = 3600 * 50
    one = [*points(unique=10 * hour), *points(unique=10.1 * hour)]
    assert corpus_hours(one) == pytest.approx(10.05)
    assert corpus_hours([*one, *points(unique=20 * hour)]) == pytest.approx(20)  # and parts of it
    assert corpus_hours([*one, *points()]) is None


def test_an_empty_table_holds_no_point(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(BudgetError, match=r"a\.json .*no point.*expected a run's folder"):
        read_points([tmp_path / "a.json"])


def test_validations_are_pairs(tmp_path):
    write_points(tmp_path / "a.json", points())
    content = json.loads((tmp_path / "a.json").read_text())
    content[2]["validations"] = [[0.5, 2.0, 1.0]]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(BudgetError, match="row 3: its validations are no pairs"):
        read_points([tmp_path / "a.json"])
    content[2]["validations"] = [[0.5, 2.0], [0.25, 1.0]]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(BudgetError, match="row 3: its validations are not in the order"):
        read_points([tmp_path / "a.json"])


@pytest.mark.parametrize(
    ("losses", "changes", "words"),
    [
        (LOSSES, {"updates": 15}, r"not finished \(15 of 20 updates\)"),
        ({10: 2.5}, {}, "last validated after 50% of its updates"),
        ({}, {}, "no validation loss of TERA"),
        (LOSSES, {"flops": None}, "counted no FLOPs"),
    ],
)
def test_a_run_whose_end_is_not_known_is_refused(tmp_path, losses, changes, words):
    folder = write_pilot(tmp_path / "run", losses=losses, **changes)
    with pytest.raises(BudgetError, match=rf"run .*{words}"):
        read_points([folder])
