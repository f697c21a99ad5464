"""The same command twice at once: the second one is told who is there, and the first one ends."""

import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from fairseq_budget.cli import find_command
from tests.labelled import NUM_CLUSTERS, labelled, manifests, small_parts, tones  # noqa: F401

pytestmark = pytest.mark.slow

PAUSED = """
import os, sys
from fairseq_budget.cli import find_command

def wait(_):
    print("writing", flush=True)
    sys.stdin.read()

os.fsync = wait  # of the first file that is written, until the other end closes
if sys.argv[1] == "labels":
    from fairseq_budget.labels import parts
    parts.MIN_PART_S = 3  # as the fixture small_parts has it here
sys.exit(find_command(sys.argv[1]).main(sys.argv[2:]))
"""
MAKE = ("make", "--clusters", NUM_CLUSTERS, "--workers", 1, "--data")
SHARDS = ("apply", "--num-shards", 2, "--workers", 1, "--data")


def words(*arguments: object) -> list[str]:
    return [str(argument) for argument in arguments]


@contextmanager
def paused(command: str, *arguments: object):
    """A process of its own that is in the midst of writing, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", PAUSED, command, *words(*arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.communicate()


COMMANDS = {
    "manifest": ["--trainpref", "{tones}/train", "--destdir", "{out}", "--workers", 1],
    "manifest subset": ["subset", "--manifest", "{data}/train.tsv", "--destdir", "{out}",
                        "--hours", 0.001],
    "manifest pack": ["pack", "--data", "{data}", "--splits", "train"],
    "labels": [*MAKE, "{data}"],
    "labels segment": ["segment", "--data", "{data}", "--penalty", 1, "--workers", 1],
    "downstream layout": ["layout", "--task", "ic", "--audio", "{digits}", "--out", "{out}",
                          "--train", "take=2-7", "--test", "take=0-1"],
}  # fmt: skip


@pytest.fixture
def places(tones, manifests, digits, tmp_path) -> dict:  # noqa: F811
    return {"tones": tones, "data": manifests, "digits": digits, "out": tmp_path / "out"}


def locks(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.lock"))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_second_one_is_told_who_is_there(name, places, tmp_path, capsys, request):
    if name == "labels segment":
        request.getfixturevalue("labelled")
    command, arguments = name.split()[0], [word.format(**places) for word in words(*COMMANDS[name])]
    main = find_command(command).main
    with paused(command, *arguments) as first:
        assert main(arguments) == 2
        there = rf"in use by process {first.pid} on {socket.gethostname()} since 20\d\d-"
        assert re.search(there, capsys.readouterr().err)
    assert first.returncode == 0
    assert main(arguments) == 0
    assert locks(tmp_path) == []


def test_shards_work_side_by_side_and_keep_a_whole_labelling_out(labelled, capsys):  # noqa: F811
    for path in labelled.glob("*.km*"):
        path.unlink()
    main = find_command("labels").main
    with paused("labels", *SHARDS, labelled, "--shard", 0) as first:
        for refused in ([*SHARDS, labelled, "--shard", 0], [*MAKE, labelled]):
            assert main(words(*refused)) == 2
            assert f"in use by process {first.pid} on" in capsys.readouterr().err
        assert main(words(*SHARDS, labelled, "--shard", 1)) == 0
    assert first.returncode == 0
    assert (labelled / "train.km").is_file()
    assert locks(labelled) == []


def test_a_killed_one_keeps_nobody_out(manifests, capsys):  # noqa: F811
    main = find_command("labels").main
    with paused("labels", *MAKE, manifests) as first:
        first.kill()
    assert len(locks(manifests)) == 1
    assert main(words(*MAKE, manifests)) == 0
    assert locks(manifests) == []
