"""``budget-report replay``: the batches of an update in which a run went wrong, once more."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import add_device
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.rows import add_json, print_rows
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.run.record import read_record
    from fairseq_budget.run.recovery import last_good


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "replay",
        help="the batches in which a run went wrong, utterance by utterance",
        description="Compute the loss and the gradients of a recorded update again, of its batches "
        "and of each utterance alone, the steepest first. A run that sees trouble writes the "
        "record and names it. Needs fairseq.",
    )
    parser.add_argument("record", type=Path, help="trouble/update_N.json in a run's save_dir")
    parser.add_argument(
        "--checkpoint", type=Path,
        help="whose weights (default: the newest of the run that is whole and finite)",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, help="folder of the manifests (default: the run's)")
    parser.add_argument(
        "--wav", type=Path, metavar="DIR", help="write what was heard, to listen to"
    )
    add_device(parser)
    add_json(parser)
    parser.set_defaults(run=_replay)


def _replay(args: argparse.Namespace) -> int:
    record = read_record(args.record)
    checkpoint = args.checkpoint or last_good(args.record.absolute().parents[1])
    if checkpoint is None:
        raise BudgetError(
            f"{args.record.absolute().parents[1]} has no checkpoint that is whole and finite: name "
            "one with --checkpoint"
        )
    try:
        from fairseq_budget.tasks._replay import replay
    except ImportError as error:
        raise BudgetError(
            f"a loss needs fairseq ({error}): pip install 'fairseq_budget[fairseq]'"
        ) from error
    rows = replay(record, checkpoint, data=args.data, audio=args.wav, device=args.device)
    if not args.json:
        print(f"{record.said}\n\nwith the weights of {checkpoint}:\n")
    print_rows(rows, as_json=args.json)
    return 0
