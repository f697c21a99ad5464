"""budget-report html where plotly is not installed."""

from __future__ import annotations

import sys

import fairseq_budget.report
from fairseq_budget.cli.report.command import main


def test_without_plotly_the_extra_is_named(monkeypatch, tmp_path, capsys):
    for name in ("plotly", "plotly.graph_objects", "plotly.offline"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("html", "interactive"):
        monkeypatch.delitem(sys.modules, f"fairseq_budget.report.{name}", raising=False)
        monkeypatch.delattr(fairseq_budget.report, name, raising=False)
    assert main(["html", "--out", str(tmp_path / "a.html")]) == 2
    assert 'needs plotly: pip install "fairseq_budget[report]"' in capsys.readouterr().err
