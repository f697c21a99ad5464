"""``budget-plan length``: memory, FLOPs and time against the length of training sequences."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from fairseq_budget.budget.accumulation import accumulate
from fairseq_budget.budget.flops import LEFT_OUT
from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import add_device, count, positive, sequence_seconds
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.plan.arguments import add_gpus, add_model
from fairseq_budget.cli.rows import add_json, print_rows, write_csv
from fairseq_budget.console.progress import Progress
from fairseq_budget.errors import BudgetError
from fairseq_budget.papers.match_to_win import BATCHES, LENGTHS_S, PAPER_UPDATE_S, TASKS

with imported_later():
    from fairseq_budget.budget.lengths import LengthRow, plan_length
    from fairseq_budget.budget.task_training import TaskRow, plan_downstream
    from fairseq_budget.budget.timed_lengths import measure_lengths, measure_tasks
    from fairseq_budget.budget.timing import machine_name

Rows: TypeAlias = "list[LengthRow] | list[TaskRow]"


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "length",
        help="what sequences of 1 to 15 s cost in FLOPs, memory and time",
        description="FLOPs and memory of training batches by sequence length and batch size, as "
        "Figure 2 and Table 2 of 'Match to win'; with --downstream those of downstream training at "
        "the task's mean length, as its Table 3 and Figure 3.",
    )
    add_model(parser)
    parser.add_argument(
        "--seconds", type=sequence_seconds, nargs="+", default=list(LENGTHS_S), metavar="S",
        help="lengths (default: 1 5 10 15)",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=count, nargs="+", default=list(BATCHES), metavar="B",
        help="sequences in a batch (default: 1 2 4 8 12)",
    )  # fmt: skip
    parser.add_argument(
        "--update-seconds", type=positive, metavar="S",
        help="audio of one update over all GPUs, to print the update_freq that keeps it (the "
        f"paper's 1.6 h: {PAPER_UPDATE_S:g})",
    )  # fmt: skip
    add_gpus(parser)
    parser.add_argument(
        "--downstream", choices=list(TASKS), nargs="+", metavar="TASK",
        help=f"downstream training in place of pre-training: {', '.join(TASKS)}",
    )  # fmt: skip
    encoder = parser.add_mutually_exclusive_group()
    encoder.add_argument("--frozen", action="store_true", help="train the downstream model only")
    encoder.add_argument("--unfrozen", action="store_true", help="train the encoder, too")
    parser.add_argument(
        "--measure", action="store_true",
        help="time updates on this machine; --csv is brought up to date after each",
    )  # fmt: skip
    add_device(parser)
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the rows, too")
    parser.add_argument("--png", metavar="FILE", type=Path, help="draw them, too")
    add_json(parser)
    parser.set_defaults(run=_length)


def _length(args: argparse.Namespace) -> int:
    if (args.frozen or args.unfrozen) and not args.downstream:
        raise BudgetError("--frozen and --unfrozen are of downstream training; add --downstream")
    if args.update_seconds and args.downstream:
        raise BudgetError("--update-seconds is of pre-training; leave out --downstream")
    rows: Rows = _plan_tasks(args) if args.downstream else _plan_lengths(args)
    if args.measure:
        rows = _measured(rows, args)
    if args.csv:
        write_csv(rows, args.csv)
    if args.png:
        _draw(rows, args)
    print_rows(rows, as_json=args.json)
    if not args.json:
        _print_notes(args)
    return 0


def _plan_lengths(args: argparse.Namespace) -> list[LengthRow]:
    return [
        replace(
            plan_length(
                args.size, args.objective, length_s=length, batch=batch, device=_kind(args)
            ),
            **_accumulation(length, batch, args),
        )
        for length in args.seconds
        for batch in args.batch
    ]


def _accumulation(length_s: float, batch: int, args: argparse.Namespace) -> dict[str, Any]:
    if not args.update_seconds:
        return {}
    update = accumulate(args.update_seconds, length_s=length_s, batch=batch, gpus=args.gpus)
    return {"update_freq": update.update_freq, "update_audio_s": update.audio_s}


def _plan_tasks(args: argparse.Namespace) -> list[TaskRow]:
    """The frozen and the unfrozen encoder, unless one of them was asked for."""
    kinds = [True] * (not args.unfrozen) + [False] * (not args.frozen)
    return [
        plan_downstream(task, args.size, frozen=frozen, device=_kind(args))
        for task in args.downstream
        for frozen in kinds
    ]


def _kind(args: argparse.Namespace) -> str:
    """The device whose attention kernel the closed form is for: a GPU, unless a CPU is measured."""
    return args.device if args.measure else "cuda"


def _measured(planned: Rows, args: argparse.Namespace) -> Rows:
    measure: Any = measure_tasks if args.downstream else measure_lengths
    done: Rows = []
    for row in measure(Progress(planned, unit="cell"), args.size, device=args.device):
        done.append(row)
        if args.csv:
            write_csv(done, args.csv)  # at once: an interruption loses one cell only
    return done


def _draw(rows: Rows, args: argparse.Namespace) -> None:
    from fairseq_budget.report import plots  # asks for matplotlib

    plot: Any = plots.plot_downstream if args.downstream else plots.plot_lengths
    plot(rows, args.png)


def _print_notes(args: argparse.Namespace) -> None:
    print(f"\nFLOPs are the encoder's; {LEFT_OUT}.")
    if args.measure:
        print(f"measured on {machine_name(args.device)}; OOM: memory does not suffice")
