"""Scores that s3prl logs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairseq_budget.downstream.scores import read_layer_weights, read_score
from fairseq_budget.downstream.tasks import OFFICIAL_TASKS, TASKS
from fairseq_budget.errors import BudgetError

LINES = "fluent_commands/dev-acc\t5\t0.5\nfluent_commands/test-acc\t5\t{}\n"


@pytest.mark.parametrize("wrong", ["4.55", "1e400", "-0.1", "0.5.5", "nan", "0.5\t1", ""])
def test_a_logged_score_that_is_no_share_is_an_error(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "scalars.tsv").write_text(LINES.format(0.25))
    assert read_score(tmp_path, TASKS["ic"]).test == 0.25
    (tmp_path / "scalars.tsv").write_text(LINES.format(wrong))
    with pytest.raises(BudgetError, match=r"cannot read .*scalars\.tsv .*train again"):
        read_score(tmp_path, TASKS["ic"])


def test_the_score_of_a_fold_is_its_own(tmp_path: Path) -> None:
    lines = [
        f"emotion-fold{fold}/{split}-acc\t5\t{fold / 10}\n"
        for fold in (1, 2)
        for split in ("dev", "test")
    ]
    (tmp_path / "scalars.tsv").write_text("".join(lines))
    assert read_score(tmp_path, TASKS["er"]).test == 0.1
    assert read_score(tmp_path, OFFICIAL_TASKS["er"], 2).test == 0.2
    with pytest.raises(BudgetError, match="no evaluation of dev and test"):
        read_score(tmp_path, OFFICIAL_TASKS["er"], 3)


def test_what_is_evaluated_on_test_alone_is_chosen_there_with_its_layers(tmp_path: Path) -> None:
    errors = {20: 0.3, 40: 0.1, 60: 0.2}
    lines = [f"sv-voxceleb1/test-EER\t{update}\t{error}\n" for update, error in errors.items()]
    (tmp_path / "scalars.tsv").write_text("".join(lines))
    score = read_score(tmp_path, OFFICIAL_TASKS["asv"])
    assert (score.update, score.valid, score.test) == (40, 0.1, 0.1)
    for update in errors:
        weights = torch.tensor([0.0, float(update == 40) * 100])
        torch.save({"Featurizer": {"weights": weights}}, tmp_path / f"states-{update}.ckpt")
    assert read_layer_weights(tmp_path, score.update) == [0.0, 1.0]
