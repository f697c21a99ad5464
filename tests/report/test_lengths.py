"""Runs whose sequences differ in length are a table."""

from __future__ import annotations

from pathlib import Path

from fairseq_budget.report.lengths import length_table
from fairseq_budget.report.trained import read_trained
from tests.forecast.pilots import write_pilot
from tests.report.test_curve import write_scores

SHORT, LONG = ({"min_sample_size": 8000, "max_sample_size": n} for n in (16000, 250000))


def write_length(folder: Path, logged: dict | None = None, **task) -> Path:
    return write_pilot(folder, losses={20: 2.0}, task=task, logged=logged or {})


def test_a_row_has_the_length_what_it_cost_and_what_came_of_it(tmp_path):
    logged = {"bsz": "90", "wall": "5400", "gb_free": "12.5"}
    short = write_length(tmp_path / "short", logged, **SHORT)
    long = write_length(tmp_path / "long", {"bsz": "20"}, **LONG)
    write_scores(short / "ic", "ic", [0.5])
    rows = length_table(read_trained([long, short]))
    assert rows[0] == {
        "run": "short",
        "objective": "tera",
        "limits (s)": "0.5 to 1",
        "mean length (s)": "2.00",  # an hour, in 20 updates of 90
        "updates": "20",
        "FLOPs": "1e+12",
        "wall time (h)": "1.50",
        "least memory free (GiB)": "12.5",
        "validation loss": "2",
        "ic accuracy (%)": "50",
    }
    assert list(rows[1]) == list(rows[0])
    assert (rows[1]["limits (s)"], rows[1]["ic accuracy (%)"]) == ("0.5 to 15.62", "-")


def test_pieces_that_were_cut_before_training_differ_by_what_was_heard(tmp_path):
    folders = [write_length(tmp_path / bsz, {"bsz": bsz}) for bsz in ("18", "90")]
    rows = length_table(read_trained(folders))
    assert [row["mean length (s)"] for row in rows] == ["2.00", "10.00"]
    assert {row["limits (s)"] for row in rows} == {"0 or more"}


def test_runs_of_one_length_are_no_table(tmp_path):
    folders = [write_length(tmp_path / bsz, {"bsz": bsz}, **SHORT) for bsz in ("90", "91")]
    assert length_table(read_trained(folders)) == []
    assert length_table([]) == []


def test_runs_of_other_objectives_are_not_in_the_table(tmp_path):
    folders = [write_length(tmp_path / "a", **SHORT), write_length(tmp_path / "b", **LONG)]
    other = write_pilot(tmp_path / "c", losses={20: 2.0}, _name="budget_hubert")
    rows = length_table(read_trained([*folders, other]))
    assert [row["run"] for row in rows] == ["a", "b"]
