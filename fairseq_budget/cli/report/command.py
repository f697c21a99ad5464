"""``budget-report``: tables and figures of finished runs."""

from __future__ import annotations

import argparse

from fairseq_budget import cli
from fairseq_budget.cli.report import (
    boundaries,
    curve,
    evaluate,
    features,
    html,
    losses,
    probe,
    replay,
    run,
    scores,
)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-report",
        description="Reports with figures, from runs.",
    )
    cli.add_subcommands(
        parser, (run, html, scores, losses, curve, boundaries, evaluate, features, probe, replay)
    )
    return parser


@cli.user_errors
def main(argv: list[str] | None = None) -> int:
    return cli.run(build_parser(), argv)
