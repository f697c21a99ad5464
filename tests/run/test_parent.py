"""What a killed process has started does not go on."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = """
import os, time
from fairseq_budget.run.parent import end_with_parent
parent, child = os.getpid(), os.fork()
if child == 0:
    end_with_parent(parent)
    print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
def test_a_child_is_gone_once_its_parent_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True)
    child = Path("/proc", parent.stdout.readline().strip())
    assert child.exists()
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while (
        child.exists() and "Z" not in (child / "stat").read_text() and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert not child.exists() or "Z" in (child / "stat").read_text()
