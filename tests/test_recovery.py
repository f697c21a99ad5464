"""Checkpoints that a kill has cut short."""

import os

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.recovery import mend_checkpoint


@pytest.fixture
def folder(tmp_path):
    for age, (name, update) in enumerate(
        {"checkpoint_last.pt": 3, "checkpoint_1_3.pt": 3, "checkpoint_best.pt": 1}.items()
    ):
        torch.save({"update": update}, tmp_path / name)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    return tmp_path


def update_of(path) -> int:
    return torch.load(path, weights_only=True)["update"]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_the_newest_whole_checkpoint_takes_the_place_of_a_damaged_one(folder, share):
    last = folder / "checkpoint_last.pt"
    content = last.read_bytes()
    last.write_bytes(content[: int(share * len(content))])
    assert mend_checkpoint(folder) == folder / "checkpoint_1_3.pt"
    assert update_of(last) == 3
    assert mend_checkpoint(folder) is None


def test_a_whole_checkpoint_and_a_new_run_are_left_alone(folder, tmp_path):
    assert mend_checkpoint(folder) is None
    assert mend_checkpoint(tmp_path / "new") is None


def test_without_any_whole_checkpoint_the_error_says_what_to_remove(folder):
    for path in folder.iterdir():
        path.write_bytes(b"cut")
    with pytest.raises(BudgetError, match=r"checkpoint_last.pt is damaged .*remove it"):
        mend_checkpoint(folder)
