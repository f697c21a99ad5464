"""``budget-downstream check``: what of a task's own corpus is missing."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.downstream.official import OFFICIAL
from fairseq_budget.downstream.tasks import TASKS


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "check",
        help="say what of a task's own corpus is missing, how large it is and where it is from",
        description="Look for the files of SUPERB's corpus of a task. Exit code 1 if some are "
        "missing.",
    )
    parser.add_argument("--task", required=True, choices=TASKS)
    parser.add_argument("--data", required=True, type=Path, metavar="ROOT", help="of the corpus")
    parser.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    corpus = OFFICIAL[args.task]
    print(f"{TASKS[args.task].title}: {corpus.name}")
    print(f"  about {corpus.hours} h, {corpus.gigabytes:g} GB, from {corpus.source}")
    missing = corpus.missing(args.data)
    for line in missing:
        print(f"  missing: {line}")
    if not missing:
        print(f"  complete in {args.data}")
    return 1 if missing else 0
