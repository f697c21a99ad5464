"""``budget-report curve``: loss and scores of several runs against their size."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.rows import write_csv
from fairseq_budget.console.table import escaped, table
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.report.curve import distinct_names, read_run
    from fairseq_budget.report.pages import other_budgets, write_page


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "curve",
        help="loss and scores of several runs against their size: the U-curve",
        description="Write OUT/curve.md, OUT/curve.csv and OUT/curve.png from finished runs; a run "
        "is a folder with train.log, checkpoint_last.pt and, anywhere below, the results.json "
        "of `budget-downstream compare`, whose first upstream counts.",
    )
    parser.add_argument(
        "--runs", type=Path, nargs="+", required=True, metavar="DIR",
        help="one folder per run; what holds no train.log is passed over",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.set_defaults(run=_curve)


def _curve(args: argparse.Namespace) -> int:
    from fairseq_budget.report.plots import plot_curve  # asks for matplotlib

    folders = [folder for folder in args.runs if (folder / "train.log").is_file()]
    if not folders:
        raise BudgetError(
            f"there is no run in {' '.join(map(str, args.runs))}: expected folders with a "
            "train.log (common.log_file) and a checkpoint_last.pt"
        )
    names = distinct_names(folders)
    runs = [
        replace(read_run(folder), name=name) for folder, name in zip(folders, names, strict=True)
    ]
    runs.sort(key=lambda run: (run.objective, run.parameters))
    finished = [run for run in runs if run.is_finished]
    if not finished:
        made = ", ".join(f"{run.name} {run.updates:,} of {run.max_update:,}" for run in runs)
        raise BudgetError(f"none of the {len(runs)} runs is finished (updates: {made}); go on")
    plot_curve(finished, args.out / "curve.png")
    rows = [run.row() for run in finished]
    write_csv(rows, args.out / "curve.csv")
    shown = table(rows)
    parts = ["# Loss against size", shown, "![loss and scores against size](curve.png)"]
    parts += other_budgets(finished)
    parts += [
        f"Not finished, left out: {escaped(run.name)} "
        f"({run.updates:,} of {run.max_update:,} updates)."
        for run in runs
        if not run.is_finished
    ]
    write_page(args.out / "curve.md", parts)
    print("\n\n".join([shown, *parts[3:]]))
    return 0
