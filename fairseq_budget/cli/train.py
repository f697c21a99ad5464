"""``budget-train``: the long command of a preset, typed for you."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path

from fairseq_budget.cli import user_errors
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.rows import add_json, print_rows
from fairseq_budget.errors import BudgetError
from fairseq_budget.run.presets import find_preset, preset_folder, preset_names

with imported_later():
    from torch.cuda import device_count

    from fairseq_budget.budget.machine import find_machine
    from fairseq_budget.budget.presets import preset_cost

PROGRAM = "fairseq-hydra-train"
EPILOG = """examples:
  budget-train --list
  budget-train tera_demo --data data
  budget-train tera_librispeech --data data model.size=base task.budget_flops=1e18

It prints the command of fairseq's that it stands for, and becomes it: Ctrl-C, signals and the exit
code are its own. A run has one process for each GPU there is, or one on the CPU.
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-train",
        description="Train a preset.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("preset", nargs="?", help="such as tera_demo, for budget_tera_demo")
    parser.add_argument("overrides", nargs="*", help="settings, such as model.size=base")
    parser.add_argument("--data", help="folder of manifests (task.data)")
    parser.add_argument("--config-dir", help="folder of presets (default: where ours are)")
    parser.add_argument("--list", action="store_true", help="the presets, and their cost here")
    parser.add_argument("--dry-run", action="store_true", help="print the command only")
    add_json(parser)
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_intermixed_args(argv)
    if args.list:
        return _list(args)
    command = train_command(args)
    print(shlex.join(command), flush=True)
    if args.dry_run:
        return 0
    beside = str(Path(sys.executable).parent)
    program = shutil.which(PROGRAM, path=beside) or shutil.which(PROGRAM)
    if program is None:
        raise BudgetError(
            f"{PROGRAM} is not installed; training needs fairseq: pip install "
            "'fairseq_budget[fairseq]'"
        )
    os.execv(program, command)


def train_command(args: argparse.Namespace) -> list[str]:
    """What is typed without us. BudgetError for no preset, and for a word that is no setting."""
    folder = Path(args.config_dir or preset_folder())
    if args.preset is None:
        known = ", ".join(preset_names(folder))
        raise BudgetError(f"no preset chosen; expected one of {known}")
    for word in args.overrides:
        if "=" not in word and not word.startswith("~"):
            raise BudgetError(f"{word}: expected a setting such as model.size=base")
    return [
        *(PROGRAM, "--config-dir", str(folder), "--config-name", find_preset(args.preset, folder)),
        *("+task.user_dir=fairseq_budget", *([f"task.data={args.data}"] if args.data else [])),
        *args.overrides,
    ]


def _list(args: argparse.Namespace) -> int:
    folder, machine = Path(args.config_dir or preset_folder()), find_machine()
    gpus = max(1, device_count())
    found = machine[1] if machine else None
    rows = [preset_cost(folder / f"{name}.yaml", gpus, found) for name in preset_names(folder)]
    print_rows(rows, as_json=args.json)
    if not args.json:
        where = f"{gpus} GPUs" if device_count() else "the CPU"
        how = f"measured on {machine[0]}" if machine else "unknown until `budget-plan measure` ran"
        print(f"\nas they stand, on {where}; hours: {how}")
    return 0
