"""A sweep over sizes at a toy budget, as users type it: stopped, resumed, drawn."""

import csv
import subprocess

import pytest

from tests.conftest import BIN, ROOT, run, train_command

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
            cwd=ROOT, env={"PATH": f"{BIN}:/usr/bin:/bin", "OMP_NUM_THREADS": "1", "JOBS": "2"},
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


def test_a_schedule_never_changes_half_way(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/overrides").write_text("model.size=tiny optimization.max_update=5\n")
    done = subprocess.run(
        [ROOT / "scripts/sweep.sh", tmp_path], input="model.size=tiny\n", text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "begun with other overrides (model.size=tiny optimization.max_update=5)" in done.stderr
