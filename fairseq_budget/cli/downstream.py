"""``budget-downstream``: data for s3prl's tasks, and tables of upstreams compared on them."""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from fairseq_budget.cli import user_errors
from fairseq_budget.errors import BudgetError
from fairseq_budget.table import markdown_table
from fairseq_budget.upstream.layout import (
    DEFAULT_PATTERN,
    Layout,
    Request,
    make_layout,
    read_layout,
    shell_command,
)
from fairseq_budget.upstream.scores import Run, Upstream, run_all, summarize, write_results
from fairseq_budget.upstream.tasks import TASKS

LAYOUT_EPILOG = """filters:
  Space-separated field=values, all of which must hold; values are a comma-separated list of
  words and of ranges of numbers. Fields are those of --pattern, or the columns of the
  utterances.tsv in DIR (as budget-corpus writes it; only its commands are used).

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
"""

COMPARE_EPILOG = """example:
  budget-downstream compare --data data/digits --out results/digits --logmel \\
      --upstream tera=exported/ --upstream untrained=exported/:untrained

Run it again after an interruption: finished runs are kept, others are done. results.json has the
accuracy and the command of every run.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of both subcommands."""
    parser = argparse.ArgumentParser(prog="budget-downstream", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_layout(commands)
    _add_compare(commands)
    return parser


def _add_layout(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
    parser.add_argument("--audio", required=True, type=Path, metavar="DIR", help="labelled speech")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the layout")
    parser.add_argument(
        "--pattern", default=DEFAULT_PATTERN, help="fields of the file names (default: %(default)s)"
    )
    parser.add_argument("--label", metavar="FIELD", help="the class (default: label; sid: speaker)")
    parser.add_argument("--train", metavar="FILTER", help="default: all that is in no other split")
    parser.add_argument("--valid", metavar="FILTER", help="default: a random 10 %% of train")
    parser.add_argument("--test", metavar="FILTER")
    parser.add_argument(
        "--shots", type=int, metavar="N", help="keep N training utterances per label and speaker"
    )
    parser.add_argument("--seed", type=int, default=0, help="of validation and shots (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace another layout in --out")
    parser.set_defaults(run=_layout)


def _add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "compare",
        help="test accuracies of several upstreams, with s3prl, as a table",
        description="Train s3prl's classifier on each upstream and seed; print a table.",
        epilog=COMPARE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True, type=Path, metavar="LAYOUT", help="from layout")
    parser.add_argument("--task", choices=TASKS, help="must be the layout's, if given")
    parser.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="an exported folder or a checkpoint; PATH:untrained is its architecture with fresh "
        "weights, others for each seed. Give it once per row; PATH1,PATH2,... are checkpoints of "
        "several pre-training seeds, taken in turn by the classifier's seeds",
    )
    parser.add_argument("--logmel", action="store_true", help="add a row for log-mel features")
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="runs per row (default 3)"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="one folder per run")
    parser.add_argument("--updates", type=int, metavar="N", help="default: the configuration's 400")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="runs at a time (default 1)"
    )
    parser.set_defaults(run=_compare)


def _layout(args: argparse.Namespace) -> int:
    request = Request(
        args.task,
        str(args.audio.resolve()),
        pattern=args.pattern,
        label=args.label,
        train=args.train,
        valid=args.valid,
        test=args.test,
        shots=args.shots,
        seed=args.seed,
    )
    layout = make_layout(request, args.out, overwrite=args.overwrite)
    _report(layout)
    return 0


def _report(layout: Layout) -> None:
    counts = dict(layout.num_utterances)
    if layout.task.draws_valid:
        counts["valid"] = "s3prl takes 10 % of train"  # type: ignore[assignment]
    print(f"{layout.task.title} ({layout.task.downstream}) in {layout.folder}")
    print("  " + ", ".join(f"{split}: {count}" for split, count in counts.items()))
    print(f"  {len(layout.classes)} classes: {', '.join(layout.classes.values())}")
    if layout.num_converted:
        print(f"  {layout.num_converted} files were converted to 16 kHz mono")
    command = layout.command(["-u", "budget_upstream", "-k", "EXPORTED", "-p", "OUT"])
    print(f"\nnext, with your checkpoint and an output folder:\n  {shell_command(command)}")


def _compare(args: argparse.Namespace) -> int:
    layout = read_layout(args.data)
    if args.task not in (None, layout.request.task):
        raise BudgetError(
            f"--task {args.task}: {args.data} is a layout for {layout.request.task}; leave it out"
        )
    rows = [Upstream.parse(text) for text in args.upstream]
    rows += [[Upstream("log-mel")]] if args.logmel else []
    _check_compare(args, [row[0].name for row in rows])
    runs = [
        Run(layout, upstream, seed, args.out / upstream.name / f"seed{seed}", args.updates)
        for row in rows
        for seed, upstream in zip(range(args.seeds), itertools.cycle(row), strict=False)
    ]
    results = run_all(runs, args.jobs)
    write_results(args.out / "results.json", layout, results)
    print(markdown_table(summarize(results)))
    return 0


def _check_compare(args: argparse.Namespace, names: list[str]) -> None:
    if not names:
        raise BudgetError("nothing to compare: give --upstream NAME=PATH, --logmel, or both")
    if len(set(names)) < len(names):
        raise BudgetError(f"the names {', '.join(names)} are not all different; rename one")
    if args.seeds < 1 or args.jobs < 1:
        raise BudgetError(f"--seeds {args.seeds} --jobs {args.jobs}: expected 1 or more")


@user_errors
def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    args = build_parser().parse_args(argv)
    return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main(None))
