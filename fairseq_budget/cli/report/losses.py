"""``budget-report losses``: last losses and accuracies of several runs."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.later import imported_later
from fairseq_budget.console.table import table

with imported_later():
    from fairseq_budget.report.curve import accuracy_curve, distinct_names, loss_row


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "losses", help="last validation loss and accuracy of several runs beside their chance level"
    )
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--png", type=Path, help="draw accuracy against FLOPs spent into this file")
    parser.set_defaults(run=_losses)


def _losses(args: argparse.Namespace) -> int:
    names = distinct_names(args.runs)
    rows = [
        replace(loss_row(folder), run=name) for folder, name in zip(args.runs, names, strict=True)
    ]
    if args.png:
        from fairseq_budget.report.plots import plot_accuracies  # asks for matplotlib

        curves = map(accuracy_curve, args.runs)
        plot_accuracies(dict(zip(names, curves, strict=True)), args.png)
    print(table(rows))
    return 0
