"""``budget-plan units``: phones, characters and word pieces per second."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.plan.transcripts import add_transcripts, read_units
from fairseq_budget.cli.rows import print_rows
from fairseq_budget.papers.sequence_compression import PAPER_WORD_PIECES

with imported_later():
    from fairseq_budget.text.units import units_per_second


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    sizes = " ".join(map(str, PAPER_WORD_PIECES))
    parser = commands.add_parser(
        "units",
        help="phones, characters and word pieces per second of a corpus",
        description="How many phones, characters and word pieces a second holds on average: the "
        "frame rate that a recogniser needs at least.",
    )
    add_transcripts(parser, f"learned from the transcripts (default: {sizes})")
    parser.add_argument("--png", metavar="FILE", type=Path, help="draw them, too")
    parser.set_defaults(run=_units, word_pieces=list(PAPER_WORD_PIECES))


def _units(args: argparse.Namespace) -> int:
    sizes, units = read_units(args)
    rows = [units_per_second(name, labels, sizes) for name, labels in units.items()]
    if args.png:
        from fairseq_budget.report.plots import plot_units  # asks for matplotlib

        plot_units(rows, args.png)
    print_rows(rows, as_json=args.json)
    return 0
