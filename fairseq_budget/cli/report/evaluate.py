"""``budget-report evaluate``: loss and accuracy of checkpoints on a manifest."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import add_device, count
from fairseq_budget.cli.rows import add_json, print_rows
from fairseq_budget.errors import BudgetError


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="loss and accuracy of any checkpoint on any manifest",
        description="Print what validation would log: loss in the criterion's units, accuracy or "
        "word error rate as a share of 1. Needs fairseq.",
    )
    parser.add_argument(
        "--checkpoint", type=Path, nargs="+", required=True, help="exported folders or checkpoints"
    )
    parser.add_argument(
        "--manifest", type=Path, required=True,
        help="a .tsv, with labels or transcripts beside it where the objective has some",
    )  # fmt: skip
    parser.add_argument(
        "--max-tokens", type=count, default=1_400_000, help="samples of a batch (default: 1400000)"
    )
    add_device(parser)
    add_json(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(args: argparse.Namespace) -> int:
    try:
        from fairseq_budget.tasks._evaluation import evaluate
    except ImportError as error:
        raise BudgetError(
            f"a loss needs fairseq ({error}): pip install 'fairseq_budget[fairseq]'"
        ) from error
    options = {"max_tokens": args.max_tokens, "device": args.device}
    rows: list[dict[str, Any]] = [
        {"checkpoint": str(path), **evaluate(path, args.manifest, **options)}
        for path in args.checkpoint
    ]
    print_rows(rows, as_json=args.json)
    return 0
