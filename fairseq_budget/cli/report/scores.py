"""``budget-report scores``: one table of several sweeps and comparisons."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.later import imported_later

with imported_later():
    from fairseq_budget.report.pages import scores_page, write_page


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "scores",
        help="one table of several sweeps and comparisons, with the command of every number",
    )
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="JSON",
        help="superb.json and results.json files of budget-downstream",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="MD", help="page to write")
    parser.set_defaults(run=_scores)


def _scores(args: argparse.Namespace) -> int:
    table, page = scores_page(args.results)
    write_page(args.out, page)
    print(table)
    return 0
