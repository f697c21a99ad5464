"""Saving on disks that are full, and under two names."""

import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.launch.saving import copy, save

pytestmark = pytest.mark.fairseq


@contextmanager
def files_of_at_most(num_bytes: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_save_that_fails_leaves_what_was_there_and_names_it(tmp_path: Path) -> None:
    last = tmp_path / "checkpoint_last.pt"
    save({"model": torch.zeros(100)}, str(last))
    before = last.read_bytes()
    expected = rf"cannot save {last} \(File too large; .* MB free .*{last} .* is whole"
    with files_of_at_most(20_000), pytest.raises(BudgetError, match=expected):
        save({"model": torch.zeros(100_000)}, str(last))
    assert [path.name for path in tmp_path.iterdir()] == [last.name]
    assert last.read_bytes() == before


def test_the_first_save_that_fails_says_that_nothing_is_there(tmp_path: Path) -> None:
    with files_of_at_most(20_000), pytest.raises(BudgetError, match="no checkpoint is there yet"):
        save({"model": torch.zeros(100_000)}, str(tmp_path / "checkpoint_1_2.pt"))
    assert not list(tmp_path.iterdir())


def test_a_second_name_takes_no_room(tmp_path: Path) -> None:
    paths = [tmp_path / "checkpoint_1_2.pt", tmp_path / "checkpoint_last.pt"]
    save({"model": torch.zeros(100)}, str(paths[0]))
    assert copy(str(paths[0]), str(paths[1]), overwrite=True)
    assert paths[0].samefile(paths[1])
