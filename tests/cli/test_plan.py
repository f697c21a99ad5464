"""budget-plan as users type it."""

import json

import pytest

from fairseq_budget.cli.plan import main
from fairseq_budget.sizes import SIZES


def test_params_lists_every_size_as_json(capsys):
    assert main(["params", "--objective", "tera", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["size"] for row in rows] == list(SIZES)
    assert {row["size"]: row["paper"] for row in rows}["base"] == 94_458_318


def test_params_of_one_size_as_a_table(capsys):
    main(["params", "--size", "slim"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "19,816,270" in lines[2]
    assert "19,842,894" in lines[2]


def test_updates_of_the_papers_budget(capsys):
    main(["updates", "--flops", "1.33e18", "--gpus", "2", "--seconds-per-gpu", "78.03",
          "--hours", "960", "--size", "slim", "base", "--json"])  # fmt: skip
    slim, base = json.loads(capsys.readouterr().out)
    assert slim["updates"] == 399_981
    assert base["updates"] == pytest.approx(187_222, rel=0.002)


def test_unknown_size_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["params", "--size", "huge"])
    assert "slim_30" in capsys.readouterr().err
