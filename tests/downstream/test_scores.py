"""Scores that were stored, and those that s3prl logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fairseq_budget.downstream.layout import Layout, Request
from fairseq_budget.downstream.scores import Run, Upstream, read_score
from fairseq_budget.downstream.tasks import TASKS
from fairseq_budget.errors import BudgetError

STORED = {
    "task": "ic", "upstream": "a", "seed": 0, "learning_rate": None, "update": 5, "valid": 0.5,
    "test": 0.75, "others": {}, "layer_weights": [0.25, 0.75], "wall_s": 1.0,
}  # fmt: skip
COUNTS = {"train": 2, "valid": 1, "test": 1}


class Runner:
    def run(self, *_: object) -> int:
        raise InterruptedError("trains")


def result(folder: Path, **changes: Any) -> dict[str, Any]:
    run = Run(Layout(folder, Request("ic", "audio"), COUNTS, {}, 0), Upstream("a"), 0, folder)
    content = {**STORED, "key": run.key(), **changes}
    (folder / "result.json").write_text(json.dumps(content))
    return run.result(Runner())  # type: ignore[arg-type]


def test_a_stored_result_stands_for_its_run(tmp_path: Path) -> None:
    assert result(tmp_path)["test"] == 0.75


@pytest.mark.parametrize(
    "wrong",
    [{"test": 4.55}, {"valid": -1}, {"test": "0.75"}, {"update": None}, {"upstream": "b"},
     {"seed": 1}, {"key": {}}],
)  # fmt: skip
def test_a_result_that_is_none_is_made_again(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InterruptedError):
        result(tmp_path, **wrong)


LINES = "fluent_commands/dev-acc\t5\t0.5\nfluent_commands/test-acc\t5\t{}\n"


@pytest.mark.parametrize("wrong", ["4.55", "1e400", "-0.1", "0.5.5", "nan", "0.5\t1", ""])
def test_a_logged_score_that_is_no_share_is_an_error(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "scalars.tsv").write_text(LINES.format(0.25))
    assert read_score(tmp_path, TASKS["ic"]).test == 0.25
    (tmp_path / "scalars.tsv").write_text(LINES.format(wrong))
    with pytest.raises(BudgetError, match=r"cannot read .*scalars\.tsv .*train again"):
        read_score(tmp_path, TASKS["ic"])
