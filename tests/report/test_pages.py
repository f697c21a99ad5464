"""Pages of Markdown about finished runs."""

import json

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
        "runs": [{"upstream": odd, "test": 0.5, "key": {"command": "s3prl"}}],
    }
    (folder / "results.json").write_text(json.dumps(content))
    table, page = scores_page([folder / "results.json"])
    assert "<" not in "".join([table, *page])
    assert len(table.splitlines()) == 3
