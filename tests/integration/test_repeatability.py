"""The same command gives the same log: twice, and with any number of loader workers."""

import pytest

from tests.conftest import run, train_command
from tests.log_lines import log_lines

pytestmark = pytest.mark.fairseq

EVERY_UPDATE = [
    "common.log_format=json", "common.log_interval=1", "dataset.disable_validation=true",
    "checkpoint.no_save=true", "optimization.max_update=6", "task.max_sample_size=16000",
    "dataset.max_tokens=64000",
]  # fmt: skip


def test_the_log_is_the_same_twice_and_with_any_number_of_loader_workers(data, tmp_path):
    command = train_command(data, tmp_path, *EVERY_UPDATE)
    first, again, *others = (
        log_lines(run(*command, f"dataset.num_workers={number}")) for number in (0, 0, 2)
    )
    assert len(first) == 6
    assert len({line["loss"] for line in first}) > 1
    assert [again, *others] == [first, first]
