"""A sweep over sizes at a toy budget, as users type it: stopped, resumed, drawn."""

import csv
import os
import re
import subprocess

import pytest

from tests.conftest import BIN, ROOT, run, train_command
from tests.synthetic import write_tone_corpus

pytestmark = pytest.mark.fairseq


def test_a_sweep_resumes_what_was_stopped_and_draws_the_curve(data, tmp_path):
    plan = run(
        "budget-plan", "updates", "--flops", "2e10", "--seconds-per-gpu", "6",
        "--sequence-seconds", "3", "--size", "tiny", "--overrides",
    ).stdout  # fmt: skip
    lines = plan + plan.replace("\n", " model.encoder_layers=1\n")

    def sweep(*options: str) -> subprocess.CompletedProcess:
        command = [
            word for word in map(str, train_command(data, tmp_path, "dataset.max_tokens=96000"))
            if not word.startswith(("checkpoint.", "optimization.", "lr_scheduler.", "common."))
        ]  # fmt: skip
        return subprocess.run(
            [ROOT / "scripts/sweep.sh", tmp_path / "sweep", *command[1:], *options],
            input=lines, text=True, capture_output=True, timeout=200, check=False,
            cwd=ROOT, env={**os.environ, "PATH": f"{BIN}:/usr/bin:/bin", "JOBS": "2"},
        )  # fmt: skip

    stopped = sweep("optimization.stop_time_hours=0.0000001", "common.log_interval=1")
    assert stopped.returncode == 1
    assert "2 of 2 runs are not finished" in stopped.stderr
    finished = sweep("common.log_interval=1")
    assert finished.returncode == 0, finished.stderr
    before = (tmp_path / "sweep/tiny/checkpoint_last.pt").stat().st_mtime_ns
    assert sweep("common.log_interval=1").returncode == 0
    assert (tmp_path / "sweep/tiny/checkpoint_last.pt").stat().st_mtime_ns == before

    folders = sorted((tmp_path / "sweep").iterdir())
    assert [folder.name for folder in folders] == ["tiny", "tiny_encoder_layers-1"]
    run("budget-report", "curve", "--runs", *folders, "--out", tmp_path / "curve")
    few, many = csv.DictReader((tmp_path / "curve/curve.csv").read_text().splitlines())
    assert int(few["parameters"]) < int(many["parameters"])
    assert f"optimization.max_update={many['updates']} " in plan
    assert float(many["flops"]) == pytest.approx(2e10, rel=0.1)  # as planned


@pytest.fixture
def sweep(tmp_path):
    """scripts/sweep.sh with a training that only writes down its command."""
    program = tmp_path / "bin/fairseq-hydra-train"
    program.parent.mkdir()
    program.write_text(
        """#!/usr/bin/env bash
for word in "$@"; do case $word in common.log_file=*) log=${word#*=} ;; esac; done
printf '%s\\n' "$@" 'Stopping training due to num_updates' >>"$log"
"""
    )
    program.chmod(0o755)

    def run_lines(lines: str, folder: str = "out") -> subprocess.CompletedProcess:
        return subprocess.run(
            [ROOT / "scripts/sweep.sh", tmp_path / folder, "--config-name", "p"], input=lines,
            text=True, capture_output=True, check=False,
            env={"PATH": f"{program.parent}:/usr/bin:/bin", "JOBS": "2"},
        )  # fmt: skip

    return run_lines


def commands(folder) -> dict[str, list[str]]:
    """What each run was started with; a run that was skipped is in its log once."""
    return {log.parent.name: log.read_text().splitlines() for log in folder.glob("*/train.log")}


def test_lines_name_their_folders_or_are_named_after_their_model(sweep, tmp_path):
    lines = """model.size=tiny optimization.max_update=5

model.size=slim model.encoder_layers=6
model.size=slim checkpoint.save_dir=slim_1e12
model.size=slim checkpoint.save_dir=slim_2e12 task.budget_flops=2e12"""
    assert sweep(lines).returncode == 0
    first = commands(tmp_path / "out")
    assert sorted(first) == ["slim_1e12", "slim_2e12", "slim_encoder_layers-6", "tiny"]
    for name, words in first.items():
        saved = [word for word in words if word.startswith("checkpoint.save_dir=")]
        assert saved == [f"checkpoint.save_dir={tmp_path / 'out' / name}"]
    assert "task.budget_flops=2e12" in first["slim_2e12"]
    assert sweep(lines).returncode == 0
    assert commands(tmp_path / "out") == first  # all were finished


def test_two_lines_of_one_folder_are_refused_before_anything_runs(sweep, tmp_path):
    done = sweep("model.size=tiny optimization.max_update=5\nmodel.size=tiny\n")
    assert done.returncode == 2
    assert re.search(r"two lines would share \S+/out/tiny: name .*save_dir=NAME", done.stderr)
    assert commands(tmp_path / "out") == {}


def test_a_pilot_is_a_sweep_of_as_many_folders(sweep, tmp_path):
    write_tone_corpus(tmp_path / "tones", 12, seconds=(0.6, 2.0)).write(tmp_path / "train.tsv")
    lines = run(
        "budget-plan", "pilot", "--data", tmp_path, "--flops", "3e15", "--preset", "tera_demo",
        "--most-repetitions", "1e6", "--seeds", "2", "--share", "0.2",
        "--overrides",
    ).stdout  # fmt: skip
    assert sweep(lines).returncode == 0
    assert len(commands(tmp_path / "out")) == lines.count("\n") == 11 * 2


def test_no_lines_are_no_sweep(sweep):
    done = sweep("\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no overrides on standard input" in done.stderr


@pytest.mark.slow
def test_each_line_may_be_a_job_of_submitits(data, tmp_path):
    """On this machine; on Slurm only the launcher's name differs."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    command = train_command(data, tmp_path, "dataset.max_tokens=48000")[1:]
    options = [str(w) for w in command if not str(w).startswith(("checkpoint.", "common.log_f"))]
    done = subprocess.run(
        [ROOT / "scripts/sweep.sh", tmp_path / "out", "-m", *options,
         "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
        input="model.size=tiny checkpoint.save_dir=one\n", text=True, capture_output=True,
        timeout=200, check=False, cwd=ROOT,
        env={**os.environ, "PATH": f"{BIN}:/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Submitit 'local'" in done.stdout
    assert (tmp_path / "out/one/finished").exists()
    assert (tmp_path / "out/one/checkpoint_last.pt").exists()


def test_a_schedule_never_changes_half_way(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/overrides").write_text("model.size=tiny optimization.max_update=5\n")
    done = subprocess.run(
        [ROOT / "scripts/sweep.sh", tmp_path], input="model.size=tiny\n", text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "begun with other overrides (model.size=tiny optimization.max_update=5)" in done.stderr
