"""``budget-report html``: runs, scores and probes as one file for a browser."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import positive
from fairseq_budget.cli.later import imported_later
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write

with imported_later():
    from fairseq_budget.downstream.superb_table import published_scores
    from fairseq_budget.report.heard import hear
    from fairseq_budget.report.probe import read_probes
    from fairseq_budget.report.scored import read_scored
    from fairseq_budget.report.trained import Trained, read_trained


MOST_HEARD = 6  # runs, of which an utterance is to be heard: half a megabyte each


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "html",
        help="runs, scores and probes as one file for a browser, to send to a colleague",
        description="Write one file that needs no network: what was trained and for how much, "
        "losses to zoom into, loss against size and data, lengths of sequences, scores with their "
        "commands, weights of layers, probes, provenance. Runs may be going on. Needs plotly.",
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
        "--published", action="store_true",
        help="beside the scores what the papers printed of the same tasks, of SUPERB's own corpora",
    )  # fmt: skip
    parser.add_argument(
        "--probe", type=Path, nargs="+", default=[], metavar="JSON",
        help="probe.json of `budget-report probe`",
    )  # fmt: skip
    parser.add_argument(
        "--no-audio", action="store_true",
        help="no utterance of the validation set, which is otherwise part of the page where the "
        f"data of a run, of the first {MOST_HEARD}, are there: to listen to, with what TERA fills "
        "in, or where CIF fires",
    )  # fmt: skip
    parser.add_argument(
        "--watch", type=positive, nargs="?", const=20.0, metavar="SECONDS",
        help="write it again every so often, and have browsers read it again, until all runs are "
        "finished or Ctrl-C (default: 20)",
    )  # fmt: skip
    parser.add_argument("--title", default="Training report", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="HTML", help="file to write")
    parser.set_defaults(run=_html)


def _html(args: argparse.Namespace) -> int:
    import fairseq_budget.report.html  # noqa: F401  asks for plotly, before the first wait

    if args.watch is None:
        _write(args, read_trained(args.runs, args.log))
    else:
        _watch(args)
    print(args.out)
    return 0


def _watch(args: argparse.Namespace) -> None:
    """Write the page again and again, until all runs are finished; the last one stays as it is."""
    told, is_over = "", False
    try:
        while not is_over:
            try:
                runs = read_trained(args.runs, args.log)
            except BudgetError as error:  # the log is not there yet
                if str(error) != told:
                    told = str(error)
                    print(f"waiting: {told}", file=sys.stderr)
            else:
                is_over = all(run.is_finished for run in runs)
                _write(args, runs, refresh_s=None if is_over else args.watch)
            if not is_over:
                time.sleep(args.watch)
    except KeyboardInterrupt:
        with suppress(BudgetError):
            _write(args, read_trained(args.runs, args.log))
        raise


def _write(
    args: argparse.Namespace, runs: Sequence[Trained], refresh_s: float | None = None
) -> None:
    from fairseq_budget.report.html import report

    scores = [score for path in args.scores for score in read_scored(path)]
    probes = {str(path): read_probes(path) for path in args.probe}
    found = {} if args.no_audio else {run.name: hear(run) for run in runs[:MOST_HEARD]}
    heard = {name: one for name, one in found.items() if one is not None}
    tasks = dict.fromkeys(score.task for score in scores)
    text = report(
        args.title, runs, scores, probes, heard=heard, refresh_s=refresh_s,
        published=published_scores(tasks) if args.published else {},
    )  # fmt: skip
    with atomic_write(args.out) as file:
        file.write(text)
