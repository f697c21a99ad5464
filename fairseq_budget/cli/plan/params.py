"""``budget-plan params``: trainable parameters of every size."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import Commands
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.plan.arguments import add_models
from fairseq_budget.cli.rows import print_rows

with imported_later():
    from fairseq_budget.budget.parameters import count_parameters


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("params", help="trainable parameters of every size")
    add_models(parser)
    parser.add_argument(
        "--extractor-mode", choices=["default", "layer_norm"],
        help="norm of the front-end (default: group norm in its first layer)",
    )  # fmt: skip
    parser.set_defaults(run=_params)


def _params(args: argparse.Namespace) -> int:
    rows = [
        count_parameters(
            size,
            objective,
            head=args.head,
            num_classes=args.num_classes,
            extractor_mode=args.extractor_mode,
        )
        for objective in args.objective
        for size in args.size
    ]
    print_rows(rows, as_json=args.json)
    return 0
