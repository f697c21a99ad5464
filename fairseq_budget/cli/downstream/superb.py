"""``budget-downstream superb``: all tasks, learning rates and seeds, and one table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import count, not_negative
from fairseq_budget.cli.downstream.upstreams import add_upstreams, read_upstreams
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.rows import write_csv
from fairseq_budget.console.progress import Progress
from fairseq_budget.console.table import column, latex_table, markdown_table, table
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write

with imported_later():
    from torch import get_num_threads
    from torch.cuda import device_count

    from fairseq_budget.downstream.layout import Layout, shell_command
    from fairseq_budget.downstream.overall import Scores, leaderboard_rows, require_rows
    from fairseq_budget.downstream.runs import Protocol, Run, run_all
    from fairseq_budget.downstream.s3prl_process import S3prlProcess
    from fairseq_budget.downstream.superb_table import (
        Cell,
        choose,
        overall_notes,
        published_scores,
        wide_rows,
    )
    from fairseq_budget.downstream.sweep import (
        Sweep,
        num_updates,
        parse_rates,
        read_layouts,
        seconds_per_update,
    )

EPILOG = """example, on layouts that budget-downstream layout made in data/pr, data/sid, ...:
  budget-downstream superb --data data --out results/superb --logmel \\
      --upstream tera=exported/ --upstream untrained=exported/:untrained

Of each task and upstream the learning rate that is best on validation is reported on test; of qbe,
which learns nothing, the layer that is best there. Hidden states of frozen encoders are computed
once, kept below OUT/states, and shared by all runs.

Run it again after an interruption: finished runs are kept, others are done. On several machines
with one folder, run it with --job 1/4, 2/4, ... (a job array), and once without --job for the
table. OUT has superb.md, .csv, .tex and .json, with the command of every score, and layers.png.
"""


@dataclass(frozen=True)
class Cost:
    """What the runs of a task cost; hours are the training of all, without the cache of states."""

    task: str = column()
    num_runs: int = column("runs")
    num_updates: int = column("updates of each")
    seconds_per_update: float = column("s an update, measured", digits=3)
    hours: float = column("hours in all", digits=2)


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "superb",
        help="all of SUPERB's tasks, learning rates swept, as one table",
        description="Train s3prl's downstream models for each task, upstream, learning rate and "
        "seed; print one table, at the rates that are best on validation.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", required=True, type=Path, metavar="ROOT", help="folder of layouts, ROOT/TASK"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="runs and tables")
    add_upstreams(parser)
    parser.add_argument("--tasks", metavar="T,T,...", help="default: all that ROOT has")
    parser.add_argument(
        "--lrs", default="1e-1:1e-5", metavar="LRS",
        help="learning rates, 1e-1:1e-5 by powers of ten or 1e-2,3e-3 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seeds", type=count, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--updates", type=count, metavar="N", help="default: the task's own")
    parser.add_argument(
        "--layers", choices=("weighted", "last"), default="weighted",
        help="what the downstream model hears: a learned sum, or the last one (default: weighted)",
    )  # fmt: skip
    parser.add_argument("--trainable", action="store_true", help="train the upstreams, too")
    parser.add_argument(
        "--jobs", type=count, metavar="N",
        help="runs at a time, on all GPUs in turn (default: one for each GPU, or one)",
    )  # fmt: skip
    parser.add_argument("--job", metavar="I/N", help="this machine's part of the runs: 1/4 to 4/4")
    parser.add_argument(
        "--cache-gb", type=not_negative, default=20.0, metavar="GB",
        help="room for hidden states on disk, shared by all runs; 0: each run keeps its own in "
        "memory (default: 20)",
    )  # fmt: skip
    parser.add_argument(
        "--keep-checkpoints", action="store_true", help="of the downstream models, too"
    )
    parser.add_argument(
        "--published", action="store_true",
        help="add the rows that the papers printed, of SUPERB's own corpora",
    )  # fmt: skip
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument(
        "--leaderboard-score", action="store_true",
        help="add SUPERB's overall score as its leaderboard has it, and the rows that are its 0 "
        "and 1000; for SUPERB's own corpora",
    )  # fmt: skip
    ends.add_argument(
        "--score-between", nargs=2, default=(), metavar=("LOW", "HIGH"),
        help="the same between any two rows of the table, by their names: 0 is LOW, 1000 is HIGH",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true",
        help="print the commands, and what they will cost by a measured second",
    )  # fmt: skip
    parser.set_defaults(run=_superb)


def _superb(args: argparse.Namespace) -> int:
    sweep = Sweep(
        read_layouts(args.data, args.tasks.split(",") if args.tasks else None),
        read_upstreams(args),
        parse_rates(args.lrs),
        args.seeds,
        args.out,
        args.updates,
        Protocol(
            layers=args.layers,
            trainable=args.trainable,
            cache_gib=args.cache_gb * 1e9 / 2**30 or None,
            cache_folder=args.out / "states" if args.cache_gb else None,
        ),
        args.keep_checkpoints,
    )
    ends = _leaderboard(sweep.layouts) if args.leaderboard_score else {}
    published = published_scores(layout.request.task for layout in sweep.layouts)
    others: dict[str, Scores] = {**(published if args.published else {}), **ends}
    between = tuple(ends) or args.score_between
    require_rows(between, [*(row[0].name for row in sweep.rows), *others])  # before any training
    runs = _part(sweep.runs(), args.job)
    if args.dry_run:
        _print_costs(runs)
        return 0
    failures: list[BudgetError] = []
    results = run_all(runs, args.jobs or max(1, device_count()), failures)
    if args.job is None and results:
        cells = choose(results)
        wide = wide_rows(cells, others, between)
        _write_tables(args.out, cells, wide, [*sweep.notes(), *overall_notes(cells, between)])
    elif args.job is not None:
        print(f"{len(results)} of {len(runs)} runs of part {args.job} are done")
    if failures:
        raise BudgetError(f"{len(failures)} of {len(runs)} runs failed, the first: {failures[0]}")
    return 0


def _leaderboard(layouts: Sequence[Layout]) -> dict[str, Scores]:
    """The rows that are 0 and 1000 on SUPERB's leaderboard, which are of its own corpora."""
    rows = leaderboard_rows(layout.request.task for layout in layouts)
    if own := [layout.request.task for layout in layouts if not layout.request.superb]:
        raise BudgetError(
            f"--leaderboard-score: {', '.join(own)}: expected SUPERB's own corpora, as layout "
            "--superb and --official make them; take --score-between LOW HIGH"
        )
    return rows


def _part(runs: Sequence[Run], job: str | None) -> list[Run]:
    """The runs of part I of N, each N-th one, so that all parts have some of each task."""
    if job is None:
        return list(runs)
    first, _, of = job.partition("/")
    if not (first.isdigit() and of.isdigit() and 1 <= int(first) <= int(of)):
        raise BudgetError(f"--job {job}: expected I/N, such as 1/4")
    return list(runs[int(first) - 1 :: int(of)])


def _print_costs(runs: Sequence[Run]) -> None:
    for arguments in (arguments for run in runs for arguments in run.commands()):
        print(shell_command(arguments))
    trained = [run for run in runs if run.layout.task.learns]
    tasks = list(dict.fromkeys(run.layout.request.task for run in trained))
    costs = []
    with S3prlProcess(get_num_threads()) as s3prl:
        for task in Progress(tasks, desc="measuring", unit="task"):
            own = [run for run in trained if run.layout.request.task == task]
            seconds, updates = seconds_per_update(own[0], s3prl), num_updates(own[0])
            hours = len(own) * updates * seconds / 3600
            costs.append(Cost(task, len(own), updates, seconds, hours))
    if costs:
        hours = sum(cost.hours for cost in costs)
        print(f"\n{table(costs)}\n\n{hours:.1f} hours in all, on one device")
    if evaluated := len(runs) - len(trained):
        print(f"\nruns that learn nothing, and are not measured: {evaluated}")


def _write_tables(
    folder: Path, cells: Sequence[Cell], wide: Sequence[dict[str, str]], notes: Sequence[str]
) -> None:
    shown = "\n\n".join([markdown_table(wide), *notes])
    commands = "\n".join(
        f"- {cell.task}, {cell.upstream}, weights {cell.sha256 or 'none'}: `{cell.command}`"
        for cell in cells
    )
    for name, text in (
        ("superb.md", f"{shown}\n\n{table(cells)}\n\n{commands}\n"),
        ("superb.tex", f"{latex_table(wide)}\n"),
        ("superb.json", f"{json.dumps([asdict(cell) for cell in cells], indent=1)}\n"),
    ):
        with atomic_write(folder / name) as file:
            file.write(text)
    write_csv(cells, folder / "superb.csv")
    _draw_layers(folder / "layers.png", [cell for cell in cells if cell.layer_weights])
    print(shown)


def _draw_layers(path: Path, cells: Sequence[Cell]) -> None:
    """Where matplotlib is installed; superb.json has the numbers in any case."""
    pictures: dict[str, dict[str, Sequence[float]]] = {}
    for cell in cells:
        pictures.setdefault(cell.task, {})[cell.upstream] = cell.layer_weights or ()
    if pictures and find_spec("matplotlib"):
        from fairseq_budget.report.plots import plot_layers

        plot_layers(pictures, path)
