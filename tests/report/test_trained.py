"""Runs are read as far as they have come."""

from __future__ import annotations

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.report.trained import Trained, read_trained, trained_row
from fairseq_budget.report.training_log import TrainingLog
from tests.report.test_curve import write_run


def test_a_run_that_has_saved_says_what_was_trained(tmp_path):
    row = trained_row(*read_trained([write_run(tmp_path / "slim", width=30, loss=2.0)]))
    assert (row.run, row.objective, row.size, row.parameters) == ("slim", "tera", "tiny", 30)
    assert (row.updates, row.max_update, row.flops, row.audio_hours) == (20, 20, 1e12, 1.0)
    assert (row.train_loss, row.valid_loss) == (2.5, 2.0)


def test_a_run_that_goes_on_is_read_from_its_log_alone(tmp_path):
    (tmp_path / "train.log").write_text(
        '{"epoch": 1, "loss": "2.5", "num_updates": "10", "flops": "1e+11", "wall": "1800"}\n'
        '{"epoch": 1, "loss": "2.25", "num_upd'
    )
    row = trained_row(*read_trained([tmp_path]))
    assert (row.updates, row.flops, row.wall_hours) == (10, 1e11, 0.5)
    assert row.objective is row.max_update is row.valid_loss is None


def test_a_checkpoint_may_lie_where_the_demo_puts_it(tmp_path):
    folder = write_run(tmp_path / "demo", width=30, loss=2.0)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoint_last.pt").rename(folder / "checkpoints/checkpoint_last.pt")
    assert read_trained([folder])[0].run.parameters == 30


def test_what_the_log_counted_after_the_last_save_counts():
    log = TrainingLog([{"num_updates": 30.0, "loss": 1.0, "flops": 3e9}], [])
    saved = Trained("a", log, provenance={"num_updates": 20, "flops": None, "audio_hours": 2.0})
    counted = [saved.counted(name) for name in ("num_updates", "flops", "audio_hours", "other")]
    assert counted == [30, 3e9, 2.0, None]


def test_flops_of_a_validation_lie_between_those_that_were_logged():
    log = TrainingLog([{"num_updates": u, "loss": 1.0, "flops": u * 1e9} for u in (10.0, 20.0)], [])
    records = [{"num_updates": update} for update in (5.0, 15.0, 20.0)]
    assert Trained("a", log).flops_at(records) == [5e9, 15e9, 20e9]


def test_without_flops_there_are_none_to_draw_over():
    log = TrainingLog([{"num_updates": 10.0, "loss": 1.0}], [])
    assert Trained("a", log).flops_at(log.train) == []


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path):
    folders = [write_run(tmp_path / name, width=4, loss=2.0) for name in ("a/x", "b/x", "b/y")]
    found = read_trained(folders[:2], [folders[2] / "train.log"])
    assert [run.name for run in found] == ["a/x", "b/x", "b/y"]
    assert [run.name for run in read_trained(folders[1:])] == ["x", "y"]


def test_a_run_that_is_given_twice_keeps_its_name(tmp_path):
    folder = write_run(tmp_path / "x", width=4, loss=2.0)
    assert [run.name for run in read_trained([folder, folder])] == ["x", "x"]


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(BudgetError, match=r"cannot read the training log .*train\.log"):
        read_trained([tmp_path])
