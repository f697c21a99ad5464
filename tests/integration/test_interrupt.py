"""Signals to a run: it saves and stops, on all processes after the same update, and goes on."""

import os
import signal
import subprocess

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


def assert_is_interrupted(done, folder, code=130) -> None:
    assert done.returncode == code, done.stderr
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


def test_a_signal_that_one_of_two_processes_hears_stops_both_after_the_same_update(data, tmp_path):
    both = on_two_processes(train_command(data, tmp_path, *SHORT, "optimization.max_update=2000"))
    both[1].interrupt_once(tmp_path / "checkpoint_1_2.pt", signal.SIGUSR1)
    first, second = (process.wait() for process in both)
    assert_is_interrupted(first, tmp_path, 75)
    assert second.returncode == 75
    assert "Traceback" not in second.stdout + second.stderr


SLURM = {  # stand-ins: a run that is warned twice before it is done, and a queue
    "srun": 'exec "$@"',
    "scontrol": 'echo "$@" >> "$QUEUE"',
    "fairseq-hydra-train": 'echo "$@" >> "$RUNS"; [ $(wc -l < "$RUNS") -gt 2 ] || exit 75',
}


def test_a_job_of_slurm_comes_back_until_it_is_done_and_not_after_a_failure(tmp_path):
    for name, text in SLURM.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    queue, runs = tmp_path / "queue", tmp_path / "runs"
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    env |= {"QUEUE": str(queue), "RUNS": str(runs)}
    job = ["bash", ROOT / "examples/slurm.sh", "--config-name", "x", "a='b c'"]
    codes = [subprocess.run(job, env=env, check=False).returncode for _ in range(3)]
    assert codes == [75, 75, 0]
    assert queue.read_text() == "requeue 17\n" * 2
    assert runs.read_text() == "--config-name x a='b c'\n" * 3
    (tmp_path / "fairseq-hydra-train").write_text("#!/bin/sh\nexit 1\n")
    assert subprocess.run(job, env=env, check=False).returncode == 1
    assert queue.read_text().count("requeue") == 2
