"""``budget-labels check``: every label checked, and what they are worth."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import Commands
from fairseq_budget.cli.labels.arguments import add_label_set, add_splits, alignments_of
from fairseq_budget.cli.labels.outcome import print_outcome
from fairseq_budget.errors import BudgetError


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("check", help="check every label, and say what they are worth")
    add_label_set(parser)
    add_splits(parser)
    parser.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    manifests = sorted(args.data.glob("*.tsv"))
    labelled = [path.stem for path in manifests if path.with_suffix(f".{args.name}").exists()]
    splits = args.splits or labelled
    if not splits:
        raise BudgetError(
            f"{args.data} holds no labels {args.name}; make them with `budget-labels make --data "
            f"{args.data} --name {args.name}`"
        )
    return print_outcome(args, tuple(splits), alignments_of(args))
