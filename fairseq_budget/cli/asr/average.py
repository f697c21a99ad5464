"""``budget-asr average``: one model out of several checkpoints of a run."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import Commands
from fairseq_budget.cli.later import imported_later
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.pretrained import save_pretrained
    from fairseq_budget.pretrained.averaging import average_checkpoints, average_running


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("average", help="the mean of several checkpoints' weights")
    parser.add_argument("checkpoints", nargs="+", help="of one run, the newest last")
    parser.add_argument(
        "--running", action="store_true",
        help="the mean of all updates between two checkpoints, or up to one (task.mean_interval)",
    )  # fmt: skip
    parser.add_argument("--out", required=True, help="folder to write")
    parser.set_defaults(run=_average)


def _average(args: argparse.Namespace) -> None:
    paths = args.checkpoints
    if args.running and len(paths) > 2:
        raise BudgetError(f"--running with {len(paths)} checkpoints: name the first and the last")
    average = average_running(*reversed(paths)) if args.running else average_checkpoints(paths)
    save_pretrained(args.out, average)
    print(f"{args.out}: the mean {'up to' if args.running else 'of'} {' '.join(paths)}")
