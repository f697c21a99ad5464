"""The rows of a table of upstreams, as options of the command line."""

from __future__ import annotations

import argparse

from fairseq_budget.cli.later import imported_later
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.downstream.runs import Upstream


def add_upstreams(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="an exported folder or a checkpoint; PATH:untrained is its architecture with fresh "
        "weights, others for each seed. Give it once per row; PATH1,PATH2,... are checkpoints of "
        "several pre-training seeds, taken in turn by the classifier's seeds",
    )
    parser.add_argument("--logmel", action="store_true", help="add a row for log-mel features")


def read_upstreams(args: argparse.Namespace) -> list[list[Upstream]]:
    """The rows, each of one upstream or of several pre-training seeds of it."""
    rows = [Upstream.parse(text) for text in args.upstream]
    rows += [[Upstream("log-mel")]] if args.logmel else []
    names = [row[0].name for row in rows]
    if not names:
        raise BudgetError("nothing to compare: give --upstream NAME=PATH, --logmel, or both")
    if len(set(names)) < len(names):
        raise BudgetError(f"the names {', '.join(names)} are not all different; rename one")
    return rows
