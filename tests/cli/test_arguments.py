"""Values on the command line that would be accepted or end in a traceback if nobody looked."""

from __future__ import annotations

import pytest

from fairseq_budget.cli.labels.command import main as labels
from fairseq_budget.cli.manifest.command import main as manifest
from fairseq_budget.cli.plan.command import main as plan

MAKE = ["make", "--data", "x", "--clusters", "9"]
ABUSES = [
    (labels, [*MAKE, "--sample-hours", "nan"]),
    (labels, [*MAKE, "--max-bad-share", "nan"]),
    (labels, [*MAKE, "--max-bad-share", "2"]),
    (labels, [*MAKE, "--device", "foo"]),
    (labels, ["make", "--data", "x", "--clusters", "0"]),
    (manifest, ["--trainpref", "x", "--destdir", "y", "--min-seconds", "nan"]),
    (manifest, ["--trainpref", "x", "--destdir", "y", "--max-seconds", "-1"]),
    (plan, ["updates", "--gpus", "0"]),
    (plan, ["measure", "--device", "foo"]),
]


@pytest.mark.parametrize(("main", "words"), ABUSES, ids=[" ".join(w[-2:]) for _, w in ABUSES])
def test_a_value_that_cannot_be_is_refused_with_its_name(main, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert words[-1] in said
    assert words[-2] in said
    assert "Traceback" not in said
