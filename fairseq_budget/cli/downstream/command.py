"""``budget-downstream``: data for s3prl's tasks, and tables of upstreams compared on them."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import add_subcommands, run, user_errors
from fairseq_budget.cli.downstream import check, compare, layout, superb


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-downstream",
        description="Data for s3prl's tasks, and tables of upstreams compared on them.",
    )
    add_subcommands(parser, (check, layout, compare, superb))
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    return run(build_parser(), argv)
