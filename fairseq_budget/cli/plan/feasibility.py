"""``budget-plan feasibility``: whether CTC has frames enough for the labels."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import Commands
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.plan.transcripts import add_transcripts, read_units
from fairseq_budget.cli.rows import print_rows

with imported_later():
    from fairseq_budget.asr.feasibility import ctc_feasibility


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "feasibility",
        help="whether CTC has frames enough for the labels at lower frame rates",
        description="The share of utterances that have fewer frames than CTC needs for their "
        "labels, at each rate: they train nothing. And the lowest error rate that is left for any "
        "model. Needs durations and transcripts only.",
    )
    add_transcripts(parser, "learned from the transcripts")
    parser.add_argument(
        "--rates", metavar="R", type=float, nargs="+", default=[1, 2, 4, 8],
        help="frames of 50 Hz that become one (default: 1 2 4 8)",
    )  # fmt: skip
    parser.set_defaults(run=_feasibility, word_pieces=[])


def _feasibility(args: argparse.Namespace) -> int:
    sizes, units = read_units(args)
    rows = [
        ctc_feasibility(sizes, labels, rate=rate, unit=name)
        for name, labels in units.items()
        for rate in args.rates
    ]
    print_rows(rows, as_json=args.json)
    return 0
