"""One run at a time in a folder."""

import errno
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.run.lock import LOCK_FILE, hold, hold_folder

HOLD = """
import os, sys, time
from fairseq_budget.run.lock import hold_folder
with hold_folder(sys.argv[1]):
    if not os.fork():
        os.close(1)
        time.sleep(60)  # a data worker, which outlives its run for a while
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path, and a worker that it forked."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    process.stdout.readline()
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_second_run_is_told_process_host_and_time_of_the_first_until_that_is_killed(
    holder, tmp_path, caplog
):
    words = rf"process {holder.pid} on {socket.gethostname()} since 20\d\d-.*another checkpoint"
    with pytest.raises(BudgetError, match=words), hold_folder(tmp_path):
        pass
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    with hold_folder(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / LOCK_FILE).read_text()
    assert not caplog.records


def test_a_folder_is_free_after_the_end_and_after_an_error(tmp_path):
    with pytest.raises(KeyError), hold_folder(tmp_path):
        raise KeyError
    assert (tmp_path / LOCK_FILE).read_text() == ""
    with hold_folder(tmp_path):
        pass


def test_a_lock_that_cannot_be_written_is_named_with_the_cure(tmp_path):
    (tmp_path / LOCK_FILE).mkdir()  # as another user's file, for root may write those
    words = r"cannot write .*run.lock \(Is a directory\): if its"
    with pytest.raises(BudgetError, match=words), hold_folder(tmp_path):
        pass


def test_a_run_on_another_host_that_did_not_end_is_named(tmp_path, caplog):
    (tmp_path / LOCK_FILE).write_text("process 7 on elsewhere since 2026-11-27 01:02:03+00:00")
    with hold_folder(tmp_path):
        pass
    assert "process 7 on elsewhere since 2026-11-27" in caplog.text


def test_without_locks_in_a_file_system_the_run_goes_on_with_a_warning(
    tmp_path, caplog, monkeypatch
):
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with caplog.at_level(logging.WARNING), hold_folder(tmp_path):
        pass
    assert "see to it yourself" in caplog.text


def test_a_lock_that_does_not_stay_goes_with_its_holder_and_is_no_two_files(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    with hold(path, "it", "another"):
        stale = os.open(path, os.O_RDWR)  # by one who comes as the holder leaves
    assert not path.exists()
    files = [stale]

    def late(name: object, *how: int) -> int:
        return files.pop() if files else opened(name, *how)

    opened = os.open
    monkeypatch.setattr(os, "open", late)
    with hold(path, "it", "another"):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert files == []
