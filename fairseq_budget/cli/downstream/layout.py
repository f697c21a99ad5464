"""``budget-downstream layout``: labelled speech as one of s3prl's tasks expects it."""

from __future__ import annotations

import argparse
import itertools
from dataclasses import fields
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import count
from fairseq_budget.downstream.layout import (
    DEFAULT_PATTERN,
    Layout,
    Request,
    make_layout,
    shell_command,
)
from fairseq_budget.downstream.official import OFFICIAL
from fairseq_budget.downstream.tasks import OFFICIAL_TASKS, TASKS
from fairseq_budget.errors import BudgetError

MAX_SHOWN = 60  # classes
LAYOUT_EPILOG = """filters:
  A random share such as 20%, of what no other filter takes, drawn by --seed; or
  space-separated field=values, all of which must hold; values are a comma-separated list of
  words and of ranges of numbers. Fields are those of --pattern, or the columns of --table, or of
  the utterances.tsv in DIR, as budget-corpus writes it (ks, ic, er and sid use its commands only).

examples:
  spoken digits, named {digit}_{speaker}_{take}.wav:
    budget-downstream layout --task ic --audio fsdd/ --out data/digits \\
        --train take=10-49 --test take=0-9
  the same with five takes per digit and speaker, from two speakers to the two others:
    ... --shots 5 --train 'take=10-49 speaker=george,lucas' --test 'take=0-9 speaker=jackson,theo'
  their speakers:
    budget-downstream layout --task sid --audio fsdd/ --out data/speakers \\
        --train take=10-49 --test take=0-9
  the commands of the demo corpus, with its own splits:
    budget-downstream layout --task ic --audio corpus/ --out data/commands
  all that it says, in letters:
    budget-downstream layout --task asr --audio corpus/ --out data/asr
"""


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "layout",
        help="arrange labelled speech as one of s3prl's tasks expects it",
        description="Arrange a folder of labelled speech as one of s3prl's tasks expects it. "
        "16 kHz mono audio is linked or referred to, other audio converted.",
        epilog=LAYOUT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tasks = ", ".join(f"{name} {task.title}" for name, task in TASKS.items())
    parser.add_argument("--task", required=True, choices=TASKS, help=tasks)
    parser.add_argument(
        "--audio", type=Path, metavar="DIR", help="labelled speech (default: the folder of --table)"
    )
    parser.add_argument(
        "--official", type=Path, metavar="ROOT",
        help=f"{', '.join(OFFICIAL_TASKS)}: SUPERB's own corpus, read where it is, with --superb",
    )  # fmt: skip
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="tab- or comma-separated, with a header: path (from DIR), label, speaker, split, "
        "transcript, phones, slots, ... (default: DIR/utterances.tsv, else names by --pattern)",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the layout")
    parser.add_argument(
        "--pattern", default=DEFAULT_PATTERN, help="fields of the file names (default: %(default)s)"
    )
    parser.add_argument("--label", metavar="FIELD", help="the class (default: label; sid: speaker)")
    parser.add_argument("--train", metavar="FILTER", help="default: all that is in no other split")
    parser.add_argument("--valid", metavar="FILTER", help="default: a random 10 %% of train")
    parser.add_argument("--test", metavar="FILTER", help="default: the rows whose split is test")
    parser.add_argument(
        "--shots", type=count, metavar="N", help="keep N training utterances per label and speaker"
    )
    parser.add_argument(
        "--lexicon", type=Path, metavar="FILE", help="pr: lines of a word and its phones"
    )
    parser.add_argument(
        "--pieces",
        type=count,
        default=Request.pieces,
        metavar="N",
        help="asr5k: word pieces, learned from the training part (default: %(default)s)",
    )
    parser.add_argument(
        "--superb", action="store_true", help="SUPERB's own settings, for the corpora of SUPERB"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace another layout in --out")
    parser.set_defaults(run=_layout)


def _layout(args: argparse.Namespace) -> int:
    request = _official(args) if args.official else _recordings(args)
    layout = make_layout(request, args.out, overwrite=args.overwrite)
    _report(layout)
    return 0


def _official(args: argparse.Namespace) -> Request:
    """All of a corpus, with SUPERB's settings: nothing else may be asked for."""
    choices = {field.name: field.default for field in fields(Request)} | {"audio": None}
    for name, usual in choices.items():
        if name not in ("task", "superb", "official") and getattr(args, name) != usual:
            raise BudgetError(
                f"--{name} with --official {args.official}: s3prl reads that corpus as it is; "
                f"leave --{name} out, or lay recordings out with --audio"
            )
    return Request(args.task, str(args.official.resolve()), superb=True, official=True)


def _recordings(args: argparse.Namespace) -> Request:
    if args.audio is None and args.table is None:
        raise BudgetError(
            "nothing to lay out: give --audio DIR, --table FILE, or both, or --official ROOT"
        )
    return Request(
        args.task,
        str((args.audio or args.table.parent).resolve()),
        pattern=args.pattern,
        label=args.label,
        train=args.train,
        valid=args.valid,
        test=args.test,
        shots=args.shots,
        seed=args.seed,
        table=args.table and str(args.table.resolve()),
        lexicon=args.lexicon and str(args.lexicon.resolve()),
        pieces=args.pieces,
        superb=args.superb,
    )


def _report(layout: Layout) -> None:
    print(f"{layout.task.title} ({layout.task.downstream}) in {layout.folder}")
    if layout.request.official:
        print(f"  {OFFICIAL[layout.request.task].name}, read in {layout.request.audio}")
    else:
        _report_recordings(layout)
    layer = [] if layout.task.learns else ["-l", "LAYER"]
    command = layout.command(["-u", "budget_upstream", "-k", "EXPORTED", *layer, "-p", "OUT"])
    print(f"\nnext, with your checkpoint and an output folder:\n  {shell_command(command)}")


def _report_recordings(layout: Layout) -> None:
    counts = dict(layout.num_utterances)
    if layout.task.draws_valid:
        counts["valid"] = "s3prl takes 10 % of train"  # type: ignore[assignment]
    print("  " + ", ".join(f"{split}: {count}" for split, count in counts.items()))
    names = dict.fromkeys(layout.classes.values())  # several queries may be of the same words
    shown = ", ".join(itertools.islice(names, MAX_SHOWN))
    more = ", ..." if len(names) > MAX_SHOWN else ""
    kind = "classes" if layout.task.learns else "queries"
    print(f"  {len(layout.classes)} {kind}: {shown}{more}")
    if layout.num_converted:
        print(f"  {layout.num_converted} files were converted to 16 kHz mono")
