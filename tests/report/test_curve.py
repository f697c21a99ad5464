"""Finished runs become one table and one picture."""

import csv
import json
from pathlib import Path

import pytest
import torch

from fairseq_budget.cli.report.command import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.report.curve import accuracy_curve, read_run


def write_run(
    folder: Path, *, width: int, loss: float, updates: int = 20, flops: float | None = 1e12
) -> Path:
    """A folder as a sweep leaves it, with a checkpoint of ``width`` parameters."""
    folder.mkdir(parents=True)
    lines = [
        json.dumps({"epoch": 1, "loss": str(loss + 10 / u), "num_updates": str(u)})
        for u in range(1, updates + 1)
    ]
    valid = {"epoch": 1, "valid_loss": str(loss), "valid_num_updates": str(updates)}
    (folder / "train.log").write_text("\n".join([*lines, json.dumps(valid)]))
    checkpoint = {
        "cfg": {
            "model": {"_name": "budget_tera", "size": "tiny"},
            "task": {},
            "criterion": {},
            "optimization": {"max_update": 20},
        },
        "model": {"head.weight": torch.zeros(width)},
        "optimizer_history": [{"num_updates": updates}],
        "task_state": {"audio_hours": 1.0, "flops": flops},
    }
    torch.save(checkpoint, folder / "checkpoint_last.pt")
    return folder


def write_scores(folder: Path, task: str, first: list[float]) -> None:
    folder.mkdir()
    runs = [{"upstream": "tera", "test": score} for score in first]
    runs.append({"upstream": "untrained", "test": 0.0})
    (folder / "results.json").write_text(json.dumps({"task": task, "runs": runs}))


def curve(out: Path, *folders: Path) -> int:
    return main(["curve", "--runs", *map(str, folders), "--out", str(out)])


def test_a_run_is_read_from_its_folder(tmp_path):
    folder = write_run(tmp_path / "slim", width=30, loss=2.0)
    write_scores(folder / "ic", "ic", [0.5, 0.7])
    run = read_run(folder)
    assert (run.name, run.objective, run.parameters, run.updates) == ("slim", "tera", 30, 20)
    assert run.flops == 1e12
    assert run.valid_loss == 2.0
    assert run.train_loss == pytest.approx(2 + (10 / 19 + 10 / 20) / 2)  # the last tenth
    assert run.scores == {"ic accuracy": pytest.approx(60.0)}


def test_curve_is_drawn_and_written_in_the_order_of_sizes(tmp_path):
    folders = [
        write_run(tmp_path / name, width=width, loss=loss)
        for name, width, loss in (("large", 400, 3.0), ("small", 4, 2.5), ("middle", 40, 2.0))
    ]
    write_scores(folders[1] / "sid", "sid", [0.9])
    (tmp_path / "curve.csv").touch()  # what an older call left among the runs
    assert curve(tmp_path / "out", *folders, tmp_path / "curve.csv") == 0
    rows = list(csv.DictReader((tmp_path / "out/curve.csv").read_text().splitlines()))
    assert [row["run"] for row in rows] == ["small", "middle", "large"]
    assert [row["validation loss"] for row in rows] == ["2.5", "2.0", "3.0"]
    assert [row["sid accuracy (%)"] for row in rows] == ["90.0", "", ""]
    text = (tmp_path / "out/curve.md").read_text()
    assert "| small " in text
    assert "not one budget" not in text
    assert (tmp_path / "out/curve.png").read_bytes().startswith(b"\x89PNG")


def test_runs_of_one_name_have_rows_of_their_own_names(tmp_path):
    curve(tmp_path, *(write_run(tmp_path / n, width=4, loss=2.0) for n in ("a/seed1", "b/seed1")))
    rows = csv.DictReader((tmp_path / "curve.csv").read_text().splitlines())
    assert [row["run"] for row in rows] == ["a/seed1", "b/seed1"]


def test_an_unfinished_run_is_named_and_left_out(tmp_path, capsys):
    folders = [
        write_run(tmp_path / "a", width=4, loss=2.0),
        write_run(tmp_path / "b", width=8, loss=1.0, updates=10),
    ]
    assert curve(tmp_path, *folders) == 0
    assert "left out: b (10 of 20 updates)" in capsys.readouterr().out
    assert "| b " not in (tmp_path / "curve.md").read_text()


def test_a_run_that_its_budget_has_stopped_is_finished(tmp_path):
    folder = write_run(tmp_path / "a", width=4, loss=2.0, updates=10)
    (folder / "finished").touch()
    assert read_run(folder).is_finished


def test_runs_of_different_cost_are_no_curve_at_one_budget(tmp_path, capsys):
    folders = [
        write_run(tmp_path / name, width=4, loss=2.0, flops=flops)
        for name, flops in (("a", 1e12), ("b", 2e12), ("c", None))
    ]
    curve(tmp_path, *folders)
    assert "from 1e+12 to 2e+12 FLOPs: not one budget" in capsys.readouterr().out


def test_folders_without_runs_are_one_line(tmp_path, capsys):
    assert curve(tmp_path, tmp_path) == 2
    assert "expected folders with a train.log" in capsys.readouterr().err


def test_damaged_scores_name_their_file(tmp_path):
    folder = write_run(tmp_path / "a", width=4, loss=2.0)
    (folder / "results.json").write_text('{"task": "ic", "runs": []}')
    with pytest.raises(BudgetError, match=r"a/results\.json .*budget-downstream compare"):
        read_run(folder)


def validate(folder: Path, accuracies: dict[int, float]) -> None:
    """Append validations of HuBERT to a run's log: accuracy by update."""
    with (folder / "train.log").open("a") as log:
        for update, accuracy in accuracies.items():
            numbers = {"loss": 2.0, "masked_prediction": 2.0, "masked_accuracy": accuracy}
            record = {f"valid_{key}": str(value) for key, value in numbers.items()}
            log.write("\n" + json.dumps({"epoch": 1, "valid_num_updates": str(update), **record}))


def test_accuracies_stand_over_the_flops_spent_until_then(tmp_path):
    folder = write_run(tmp_path / "a", width=4, loss=2.0, flops=4e12)
    validate(folder, {10: 0.25, 20: 0.5})
    assert accuracy_curve(folder) == ([2e12, 4e12], [25.0, 50.0])


def test_losses_come_with_their_flops_and_a_picture(tmp_path, capsys):
    folders = [write_run(tmp_path / name, width=4, loss=2.0) for name in "ab"]
    for folder in folders:
        validate(folder, {10: 0.25, 20: 0.5})
    arguments = ["losses", "--runs", *map(str, folders)]
    assert main([*arguments, "--png", str(tmp_path / "new/picture.png")]) == 0
    assert (tmp_path / "new/picture.png").read_bytes().startswith(b"\x89PNG")
    table = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in table[0].split("|")][1:4] == ["run", "updates", "FLOPs"]
    assert [cell.strip() for cell in table[2].split("|")][1:4] == ["a", "20", "1e+12"]


def test_runs_without_accuracy_or_flops_are_not_drawn(tmp_path):
    folder = write_run(tmp_path / "a", width=4, loss=2.0, flops=None)
    with pytest.raises(BudgetError, match=r"a has no validation accuracy .*without --png"):
        accuracy_curve(folder)
    validate(folder, {20: 0.5})
    with pytest.raises(BudgetError, match="a has no count of FLOPs"):
        accuracy_curve(folder)
