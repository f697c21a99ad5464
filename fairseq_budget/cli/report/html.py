"""``budget-report html``: runs, scores and probes as one file for a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.later import imported_later
from fairseq_budget.files import atomic_write

with imported_later():
    from fairseq_budget.report.probe import read_probes
    from fairseq_budget.report.scored import read_scored
    from fairseq_budget.report.trained import read_trained


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "html",
        help="runs, scores and probes as one file for a browser, to send to a colleague",
        description="Write one file that needs no network: what was trained and for how much, "
        "losses to zoom into, scores with their commands, weights of layers, probes, provenance. "
        "Runs may be going on. Needs plotly.",
    )
    parser.add_argument(
        "runs", type=Path, nargs="*", metavar="RUN",
        help="folders with a train.log (common.log_file) and, once saved, a checkpoint_last.pt",
    )  # fmt: skip
    parser.add_argument(
        "--log", type=Path, nargs="+", default=[], metavar="FILE",
        help="common.log_file of runs where it has another name",
    )  # fmt: skip
    parser.add_argument(
        "--scores", type=Path, nargs="+", default=[], metavar="JSON",
        help="superb.json and results.json of `budget-downstream superb` and `compare`",
    )  # fmt: skip
    parser.add_argument(
        "--probe", type=Path, nargs="+", default=[], metavar="JSON",
        help="probe.json of `budget-report probe`",
    )  # fmt: skip
    parser.add_argument("--title", default="Training report", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="HTML", help="file to write")
    parser.set_defaults(run=_html)


def _html(args: argparse.Namespace) -> int:
    from fairseq_budget.report.html import report  # asks for plotly

    runs = read_trained(args.runs, args.log)
    scores = [score for path in args.scores for score in read_scored(path)]
    probes = {str(path): read_probes(path) for path in args.probe}
    text = report(args.title, runs, scores, probes)
    with atomic_write(args.out) as file:
        file.write(text)
    print(args.out)
    return 0
