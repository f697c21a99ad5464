"""budget-report run while a run goes on."""

from __future__ import annotations

import numpy as np

from fairseq_budget.cli.report import run
from fairseq_budget.cli.report.command import main
from fairseq_budget.errors import BudgetError


def test_pictures_are_drawn_again_until_ctrl_c_and_wait_for_the_first_checkpoint(
    monkeypatch, tmp_path
):
    drawn, waited = [], []

    def draw(out, *_):
        drawn.append(out)
        if len(drawn) == 1:
            raise BudgetError("no checkpoint yet")

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "write_run_page", draw)
    monkeypatch.setattr(run, "_wave", lambda args: np.zeros(400, np.float32))
    monkeypatch.setattr(run.time, "sleep", sleep)
    words = ["--log", "a.log", "--checkpoint", "a.pt", "--manifest", "a.tsv", "--every", "5"]
    assert main(["run", *words, "--out", str(tmp_path)]) == 130
    assert drawn == [tmp_path] * 3
    assert waited == [5.0] * 3
