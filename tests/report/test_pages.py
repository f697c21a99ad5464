"""Pages of Markdown about finished runs."""

from __future__ import annotations

import json
from pathlib import Path

from fairseq_budget.report.pages import scores_page


def test_names_that_somebody_chose_are_no_html_and_no_borders(tmp_path):
    odd = "<img src=x>|a\nb"
    folder = tmp_path / "<i>"
    folder.mkdir()
    content = {
        "task": odd,
        "num_classes": 2,
        "num_utterances": {"test": 1},
        "table": [{"upstream": odd, "test accuracy (%)": "50.0"}],
        "runs": [{"upstream": odd, "seed": 0, "test": 0.5, "key": {"command": "s3prl"}}],
    }
    (folder / "results.json").write_text(json.dumps(content))
    table, page = scores_page([folder / "results.json"])
    assert "<" not in "".join([table, *page])
    assert len(table.splitlines()) == 3


def write_comparison(folder: Path, **content: object) -> Path:
    run = {"upstream": "tera", "seed": 0, "test": 0.2, "key": {"command": "s3prl run"}}
    counts = {"train": 2, "test": 1}
    found = {"task": folder.name, "num_classes": 3, "num_utterances": counts, "runs": [run]}
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps({**found, **content}))
    return folder / "results.json"


def test_scores_that_are_no_accuracy_say_what_they_are(tmp_path: Path) -> None:
    row = {"upstream": "tera", "test accuracy (%)": "90.0"}
    old = write_comparison(tmp_path / "ic", table=[row])
    column = "test WER (%), lower is better"
    row = {"upstream": "tera", column: "20.0 ± 1.0"}
    new = write_comparison(tmp_path / "asr", metric="WER", column=column, table=[row])
    table, _ = scores_page([old, new])
    assert "| ic   | 90.0           |" in table
    assert "| asr  | 20.0 ± 1.0 WER |" in table


def test_sweeps_stand_beside_comparisons(tmp_path: Path) -> None:
    row = {"upstream": "tera", "test accuracy (%)": "90.0"}
    one = write_comparison(tmp_path / "digits", table=[row])
    cell = {
        "upstream": "tera", "metric": "accuracy", "test_percent": 35.04, "spread_percent": 1.0,
        "valid_percent": 40.0, "learning_rate": 0.01, "num_seeds": 3, "sha256": None,
        "command": f"s3prl -k {Path.cwd()}/tera", "layer_weights": None,
    }  # fmt: skip
    (tmp_path / "orders").mkdir()
    other = tmp_path / "orders" / "superb.json"
    other.write_text(json.dumps([{**cell, "task": "ic"}, {**cell, "task": "er"}]))
    table, page = scores_page([one, other])
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == [
        "digits", "orders ic", "orders er",
    ]  # fmt: skip
    assert "# tera 35.0 ± 1.0: learning rate 0.01," in page[-1]
    assert "s3prl -k tera" in page[-1]
