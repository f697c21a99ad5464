"""Progress where it is seen, and where it goes into a file."""

import io
import sys

from fairseq_budget.console.progress import Progress


def test_a_file_gets_a_line_at_a_time_and_none_of_short_commands(capsys):
    assert list(Progress(range(2), total=2, unit="run", quiet_s=0)) == [0, 1]
    lines = [line for line in capsys.readouterr().err.split("\n") if line]
    assert [line.split("|")[2].split()[0] for line in lines][:3] == ["0/2", "1/2", "2/2"]
    assert not any("\r" in line for line in lines)
    assert list(Progress(range(2), total=2)) == [0, 1]
    assert capsys.readouterr().err == ""


def test_a_long_command_says_something_now_and_then(capsys, monkeypatch):
    clock = iter(range(0, 1000, 12))
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    list(Progress(range(10), total=10))
    assert 2 <= len(capsys.readouterr().err.splitlines()) <= 8


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    list(Progress(range(2), total=2))
    assert "\r" in sys.stderr.getvalue()
