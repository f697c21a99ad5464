"""``budget-plan``: what sizes hold, what a FLOPs budget buys, what this machine takes."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import add_subcommands, run, user_errors
from fairseq_budget.cli.plan import (
    feasibility,
    length,
    macs,
    match,
    measure,
    params,
    units,
    updates,
)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-plan",
        description="Parameters, FLOPs and updates, before anything is trained.",
    )
    add_subcommands(parser, (params, updates, measure, macs, feasibility, units, length, match))
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    return run(build_parser(), argv)
