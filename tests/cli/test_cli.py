"""What all commands share."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from fairseq_budget.cli import find_command
from tests.conftest import BIN

pytestmark = pytest.mark.slow

NAMES = ("asr", "corpus", "downstream", "export", "import", "labels", "manifest", "plan", "report")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_found_by_its_name_and_calls_itself_so(name, capsys):
    command = find_command(name)
    with pytest.raises(SystemExit, match="0"):
        command.main(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: budget-{name} ")


def test_a_reader_that_has_enough_ends_a_command_without_a_word():
    command = f"{shlex.quote(str(BIN / 'budget-plan'))} params | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("| size ")
    assert done.stderr == ""


def test_a_command_leaves_without_looking_for_garbage():
    code = """
import atexit, gc
atexit.register(lambda: print("left alone:", gc.get_freeze_count() > 1000))
from fairseq_budget.cli import find_command
find_command("plan").main(["--help"])
"""
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed.endswith("left alone: True\n")
