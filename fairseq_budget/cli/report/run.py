"""``budget-report run``: one pre-training run as a page."""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import positive
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.report.arguments import require_utterance
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.corpus.plain import read_text
    from fairseq_budget.report.pages import write_run_page


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="one pre-training run: losses, a reconstruction, downstream scores",
        description="Write OUT/report.md, OUT/loss.png and OUT/reconstruction.png.",
    )
    parser.add_argument("--log", type=Path, required=True, help="fairseq's common.log_file")
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="exported folder or checkpoint"
    )
    parser.add_argument(
        "--manifest", type=Path, required=True, help="speech to reconstruct, a .tsv"
    )
    parser.add_argument("--utterance", type=int, default=0, help="its line (default: the first)")
    parser.add_argument(
        "--scores", type=Path, nargs="*", default=[], metavar="JSON",
        help="results.json of `budget-downstream compare`, any number",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--every", type=positive, metavar="S",
        help="of a run that goes on: draw again every S seconds, until Ctrl-C",
    )  # fmt: skip
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    wave = _wave(args)
    if args.every is None:
        print(write_run_page(args.out, args.log, args.checkpoint, wave, args.scores))
        return 0
    while True:
        with suppress(BudgetError):  # the log or the checkpoint is not there yet
            write_run_page(args.out, args.log, args.checkpoint, wave, args.scores)
        time.sleep(args.every)


def _wave(args: argparse.Namespace) -> NDArray[np.float32]:
    corpus = read_text(args.manifest)
    require_utterance(corpus, args.utterance)
    return corpus.read(args.utterance)
