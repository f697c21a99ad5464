"""``budget-downstream compare``: test scores of several upstreams, as a table."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import count
from fairseq_budget.cli.downstream.upstreams import add_upstreams, read_upstreams
from fairseq_budget.cli.later import imported_later
from fairseq_budget.console.table import markdown_table
from fairseq_budget.downstream.tasks import TASKS
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.downstream.comparison import summarize, write_results
    from fairseq_budget.downstream.layout import read_layout
    from fairseq_budget.downstream.runs import Run, run_all
    from fairseq_budget.upstream.experts import require_packages

COMPARE_EPILOG = """example:
  budget-downstream compare --data data/digits --out results/digits --logmel \\
      --upstream tera=exported/ --upstream untrained=exported/:untrained

Run it again after an interruption: finished runs are kept, others are done. results.json has the
score and the command of every run. It trains at the task's own learning rate: for several rates or
tasks, SUPERB's own corpora and several devices use budget-downstream superb.
"""


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "compare",
        help="test scores of several upstreams, with s3prl, as a table",
        description="Train s3prl's classifier on each upstream and seed; print a table.",
        epilog=COMPARE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True, type=Path, metavar="LAYOUT", help="from layout")
    parser.add_argument("--task", choices=TASKS, help="must be the layout's, if given")
    add_upstreams(parser)
    parser.add_argument(
        "--seeds", type=count, default=3, metavar="N", help="runs per row (default 3)"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="one folder per run")
    parser.add_argument(
        "--updates", type=count, metavar="N", help="default: the configuration's 400"
    )
    parser.add_argument(
        "--jobs", type=count, default=1, metavar="N", help="runs at a time (default 1)"
    )
    parser.set_defaults(run=_compare)


def _compare(args: argparse.Namespace) -> int:
    layout = read_layout(args.data)
    if args.task not in (None, layout.request.task):
        raise BudgetError(
            f"--task {args.task}: {args.data} is a layout for {layout.request.task}; leave it out"
        )
    task, reason = layout.request.task, ""
    if layout.request.official:
        reason = "is for minutes at the task's own learning rate, and this is SUPERB's own corpus"
    elif not layout.task.learns:
        reason = f"trains, and of {task} nothing is learned"
    if reason:
        raise BudgetError(
            f"--data {args.data}: compare {reason}; use budget-downstream superb --data ROOT "
            f"--tasks {task} ..., with the layout as ROOT/{task}"
        )
    require_packages(layout.task.downstream)
    layout.require_sound()
    rows = read_upstreams(args)
    runs = [
        Run(layout, upstream, seed, args.out / upstream.name / f"seed{seed}", args.updates)
        for row in rows
        for seed, upstream in zip(range(args.seeds), itertools.cycle(row), strict=False)
    ]
    results = run_all(runs, args.jobs)
    write_results(args.out / "results.json", layout, results)
    print(markdown_table(summarize(results, layout.task)))
    return 0
