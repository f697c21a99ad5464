"""budget-report html without plotly, and while runs go on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import fairseq_budget.report
from fairseq_budget.cli.report import html
from fairseq_budget.cli.report.command import main
from tests.report.test_curve import write_run
from tests.report.test_scored import write_superb

REFRESH = '<meta http-equiv="refresh" content="5">'


def test_without_plotly_the_extra_is_named(monkeypatch, tmp_path, capsys):
    for name in ("plotly", "plotly.graph_objects", "plotly.offline"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("html", "interactive"):
        monkeypatch.delitem(sys.modules, f"fairseq_budget.report.{name}", raising=False)
        monkeypatch.delattr(fairseq_budget.report, name, raising=False)
    assert main(["html", "--out", str(tmp_path / "a.html")]) == 2
    assert 'needs plotly: pip install "fairseq_budget[report]"' in capsys.readouterr().err


class Clock:
    """Instead of sleeping: what happens next to the runs, and the pages of before."""

    def __init__(self, page: Path, *events) -> None:
        self.page, self.events = page, iter(events)
        self.pages: list[str] = []

    def sleep(self, seconds: float) -> None:
        assert seconds == 5
        self.pages.append(self.page.read_text() if self.page.exists() else "")
        next(self.events)()


@pytest.fixture
def watch(monkeypatch, tmp_path):
    """`budget-report html RUN --watch 5`, with events between its pages; (code, pages)."""
    pytest.importorskip("plotly")
    monkeypatch.setattr("fairseq_budget.report.interactive.library", lambda: "")

    def run(folder: Path, *events, more=()) -> tuple[int, list[str]]:
        page = tmp_path / "a.html"
        clock = Clock(page, *events)
        monkeypatch.setattr(html.time, "sleep", clock.sleep)
        words = [folder, "--watch", 5, "--out", page, *more]
        code = main(["html", *map(str, words)])
        return code, [*clock.pages, page.read_text()]

    return run


def stop() -> None:
    raise KeyboardInterrupt


def test_a_run_is_watched_from_before_its_first_line_to_its_end(watch, tmp_path, capsys):
    folder, line = tmp_path / "run", {"epoch": 1, "loss": "2.5", "num_updates": "7"}

    def begin() -> None:
        folder.mkdir()
        (folder / "train.log").write_text(json.dumps(line))

    def end() -> None:
        (folder / "train.log").unlink()
        folder.rmdir()
        write_run(folder, width=30, loss=2.0)

    code, pages = watch(folder, lambda: None, begin, end)
    assert code == 0
    assert pages[:2] == ["", ""]
    assert REFRESH in pages[2]
    assert ">7<" in pages[2]
    assert "refresh" not in pages[3]  # over: the page stays as it is
    assert ">1e+12<" in pages[3]
    assert capsys.readouterr().err.count("waiting: cannot read the training log") == 1


def test_ctrl_c_leaves_a_page_that_reads_itself_no_more(watch, tmp_path):
    code, pages = watch(write_run(tmp_path / "run", width=30, loss=2.0, updates=10), stop)
    assert code == 130
    assert [REFRESH in page for page in pages] == [True, False]
    assert not list(tmp_path.glob(".a.html*"))


def test_scores_that_cannot_be_read_are_not_waited_for(watch, tmp_path, capsys):
    folder = write_run(tmp_path / "run", width=30, loss=2.0, updates=10)
    superb = write_superb(tmp_path, {"task": 7})
    (tmp_path / "a.html").touch()
    assert watch(folder, stop, more=["--scores", superb])[0] == 2
    assert "superb.json" in capsys.readouterr().err
