"""Both of fairseq's log formats, and a resumed run."""

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.report.training_log import read_training_log

SIMPLE = """
{'task': {'valid': 'epoch'}}
epoch 001:     10 / 44 loss=0.8798, wps=88, num_updates=10, lr=0.000166667, audio_hours=0.043
epoch 001 | valid on 'valid' subset | loss 0.7703 | wps 539.2 | num_updates 10 | best_loss 0.77
epoch 001:     20 / 44 loss=0.7, num_updates=20, lr=1e-05
epoch 001 | loss 0.8 | num_updates 20 | lr 1e-05
"""
JSON = """
{"epoch": 1, "update": 0.2, "loss": "0.8798", "num_updates": "10", "lr": "0.000166667"}
{"epoch": 1, "valid_loss": "0.7703", "valid_num_updates": "10", "valid_best_loss": "nan"}
{"epoch": 1, "update": 0.4, "loss": "0.7", "num_updates": "20", "lr": "1e-05", "name": "x"}
{"epoch": 1, "train_loss": "0.8", "train_num_updates": "20"}
"""


@pytest.mark.parametrize("prefix", ["", "2026-01-01 10:00:00 | INFO | train_inner | "])
@pytest.mark.parametrize("text", [SIMPLE, JSON])
def test_both_formats_give_the_same_curves(tmp_path, text, prefix):
    (tmp_path / "log").write_text("".join(prefix + line + "\n" for line in text.splitlines()))
    log = read_training_log(tmp_path / "log")
    assert [(r["num_updates"], r["loss"]) for r in log.train] == [(10, 0.8798), (20, 0.7)]
    assert [(r["num_updates"], r["loss"]) for r in log.valid] == [(10, 0.7703)]


def test_updates_that_were_repeated_after_an_interruption_count_once(tmp_path):
    (tmp_path / "log").write_text(SIMPLE + SIMPLE.replace("0.8798", "0.5"))
    log = read_training_log(tmp_path / "log")
    assert [r["loss"] for r in log.train] == [0.5, 0.7]


def test_a_log_without_records_is_an_error_with_the_cure(tmp_path):
    (tmp_path / "log").write_text("nothing\n")
    with pytest.raises(BudgetError, match=r"set common.log_file"):
        read_training_log(tmp_path / "log")


def test_learning_rates_in_scientific_notation_are_read(tmp_path):
    (tmp_path / "log").write_text(SIMPLE)
    assert read_training_log(tmp_path / "log").train[1]["lr"] == 1e-5


@pytest.mark.parametrize(
    "line",
    ["epoch 002 | loss 0.85 | num_updates 4 | lr 0.1", '{"epoch": 2, "train_num_updates": "4"}'],
)
def test_a_run_that_was_too_short_to_log_is_said_to_be_so(tmp_path, line):
    (tmp_path / "log").write_text(f"{line}\n")
    with pytest.raises(BudgetError, match=r"made 4 updates, fewer than common\.log_interval"):
        read_training_log(tmp_path / "log")


@pytest.mark.parametrize(
    "line",
    [
        "epoch 001:     30 / 44 loss=1.2.3, num_updates=30",
        "epoch 001:     30 / 44 loss=0.5, num_updates=3.5",
        "epoch 001:     30 / 44 loss=0.5, num_updates=1e400",
        f'{{"epoch": 1, "loss": {10**400}, "num_updates": 30}}',
        '{"epoch": 1, "loss": 0.5, "num_updates": NaN}',
        '{"epoch": 1, "loss": 0.5, "num_updates": -30}',
        '{"epoch": 1, "loss": "0.5", "num_upd',
        '{"epoch": ' + "[" * 5000 + "}",
        "epoch 002: " + "x" * 300_000,
        '{"epoch": ' * 100_000,
    ],
)
def test_a_line_that_no_run_has_logged_is_passed_over(tmp_path, line):
    (tmp_path / "log").write_text(SIMPLE + line + "\n")
    assert [r["num_updates"] for r in read_training_log(tmp_path / "log").train] == [10, 20]
