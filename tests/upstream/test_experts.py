"""Each expert of s3prl that needs more than its import, on a little synthetic speech."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from fairseq_budget.downstream.layout import Request, make_layout
from fairseq_budget.downstream.scores import read_score, update_overrides
from fairseq_budget.upstream.experts import staying_on

pytestmark = [pytest.mark.s3prl, pytest.mark.slow]


def test_tensors_stay_on_the_cpu_where_a_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "cuda", lambda _: "moved")
    tensor = torch.zeros(1)
    with staying_on("cpu"):
        assert tensor.cuda("cuda:0") is tensor
    assert tensor.cuda() == "moved"
    with staying_on("cuda"):
        assert tensor.cuda() == "moved"


@pytest.mark.parametrize("task", ["asr", "asr5k", "asv", "pr", "sd", "sf"])
def test_s3prl_trains_and_evaluates_each_task(
    task: str, demo_folder: Path, exported: Path, tmp_path: Path, s3prl
) -> None:
    layout = make_layout(Request(task, str(demo_folder), pieces=60), tmp_path / "data")
    arguments = ["-u", "budget_upstream", "-k", str(exported), "-p", "out"]
    code, said = s3prl(*layout.command(arguments, update_overrides(1)), cwd=tmp_path)
    assert code == 0, said
    score = read_score(tmp_path / "out", layout.task)
    assert score.update == 1
    assert len(score.others) == len(layout.task.metrics) - 1
    assert all(map(math.isfinite, [score.valid, score.test, *score.others.values()]))
    tested = ("-m", "evaluate", "-t", layout.task.evaluated[1], "-e", "out")
    code, said = s3prl(*tested, cwd=tmp_path)
    assert code == 0, said
