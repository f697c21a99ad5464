"""``budget-downstream check``: what of a task's own corpus is missing or broken."""

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
        description="Look for the files of SUPERB's corpus of a task, read its tables and look for "
        "the recordings that they name. Exit code 1 if some are missing or cannot be used.",
    )
    parser.add_argument("--task", required=True, choices=TASKS)
    parser.add_argument("--data", required=True, type=Path, metavar="ROOT", help="of the corpus")
    parser.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    corpus = OFFICIAL[args.task]
    print(f"{TASKS[args.task].title}: {corpus.name}")
    print(f"  {corpus.size}from {corpus.source}")
    problems = corpus.problems(args.data)
    for problem in problems:
        print(f"  {problem}")
    if not problems:
        print(f"  complete in {args.data}")
    return 1 if problems else 0
