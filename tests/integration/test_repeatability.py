"""The same command gives the same log: twice, with any loader workers, on two processes."""

import pytest

from tests.conftest import on_two_processes, run, train_command
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


def test_two_processes_do_what_one_does_that_accumulates_two_batches(data, tmp_path):
    command = train_command(data, tmp_path, *EVERY_UPDATE, "model.dropout=0")
    one = log_lines(run(*command, "optimization.update_freq=[2]"))
    two, _ = (log_lines(process.wait()) for process in on_two_processes(command))
    assert len(one) == len(two) == 6
    for name in ("loss", "gnorm"):  # in another order of sums
        ours, theirs = ([float(line[name]) for line in lines] for lines in (one, two))
        assert ours == pytest.approx(theirs, rel=1e-3)
