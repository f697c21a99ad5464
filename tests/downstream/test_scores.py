"""Scores that s3prl logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairseq_budget.downstream.scores import read_score
from fairseq_budget.downstream.tasks import TASKS
from fairseq_budget.errors import BudgetError

LINES = "fluent_commands/dev-acc\t5\t0.5\nfluent_commands/test-acc\t5\t{}\n"


@pytest.mark.parametrize("wrong", ["4.55", "1e400", "-0.1", "0.5.5", "nan", "0.5\t1", ""])
def test_a_logged_score_that_is_no_share_is_an_error(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "scalars.tsv").write_text(LINES.format(0.25))
    assert read_score(tmp_path, TASKS["ic"]).test == 0.25
    (tmp_path / "scalars.tsv").write_text(LINES.format(wrong))
    with pytest.raises(BudgetError, match=r"cannot read .*scalars\.tsv .*train again"):
        read_score(tmp_path, TASKS["ic"])
