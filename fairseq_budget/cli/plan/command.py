"""``budget-plan``: what sizes hold, what a FLOPs budget buys, what this machine takes."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import add_subcommands, run, user_errors
from fairseq_budget.cli.plan import (
    compare,
    feasibility,
    forecast,
    length,
    macs,
    match,
    measure,
    params,
    pilot,
    units,
    updates,
)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-plan",
        description="Parameters, FLOPs and updates, before anything is trained.",
    )
    models = (params, updates, measure, pilot, forecast, compare, macs)
    add_subcommands(parser, (*models, feasibility, units, length, match))
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    return run(build_parser(), argv)
