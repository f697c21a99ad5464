"""Rows that ``budget-plan`` prints."""

import json

from fairseq_budget.cli.plan.command import main


def rows(capsys, *words: str) -> list[dict]:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)
