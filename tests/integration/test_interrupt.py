"""Ctrl-C in a run: it saves and stops, on all processes after the same update, and goes on."""

import pytest
import torch

from tests.conftest import ROOT, on_two_processes, run, train_command
from tests.training_process import TrainingProcess

pytestmark = pytest.mark.fairseq

SHORT = [
    "checkpoint.save_interval_updates=2", "task.max_sample_size=16000",
    "dataset.max_tokens=64000", "dataset.disable_validation=true",
]  # fmt: skip


def num_updates(folder) -> int:
    state = torch.load(folder / "checkpoint_last.pt", weights_only=True)
    return state["optimizer_history"][-1]["num_updates"]


def assert_is_interrupted(done, folder) -> None:
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.count("interrupted: saved to") == 1
    assert 2 <= num_updates(folder) < 2000


def test_ctrl_c_saves_and_stops_in_one_line_and_the_same_command_goes_on(data, tmp_path):
    process = TrainingProcess(
        train_command(data, tmp_path, *SHORT, "optimization.max_update=2000"), ROOT
    )
    process.interrupt_once(tmp_path / "checkpoint_1_2.pt")
    assert_is_interrupted(process.wait(), tmp_path)
    made = num_updates(tmp_path)
    run(*train_command(data, tmp_path, *SHORT, f"optimization.max_update={made + 2}"))
    assert num_updates(tmp_path) == made + 2


def test_ctrl_c_that_one_of_two_processes_hears_stops_both_after_the_same_update(data, tmp_path):
    both = on_two_processes(train_command(data, tmp_path, *SHORT, "optimization.max_update=2000"))
    both[1].interrupt_once(tmp_path / "checkpoint_1_2.pt")
    first, second = (process.wait() for process in both)
    assert_is_interrupted(first, tmp_path)
    assert second.returncode == 130
    assert "Traceback" not in second.stdout + second.stderr
