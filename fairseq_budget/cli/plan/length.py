"""``budget-plan length``: memory, FLOPs and time against the length of training sequences."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fairseq_budget.budget.accumulation import accumulate
from fairseq_budget.budget.flops import LEFT_OUT
from fairseq_budget.budget.lengths import plan_length
from fairseq_budget.budget.task_training import plan_downstream
from fairseq_budget.budget.timed_lengths import measure_lengths, measure_tasks
from fairseq_budget.budget.timing import default_device, machine_name
from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import count, positive, sequence_seconds
from fairseq_budget.cli.plan.arguments import add_gpus, add_model
from fairseq_budget.console.progress import Progress
from fairseq_budget.console.table import cell, markdown_table
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.papers.match_to_win import BATCHES, LENGTHS_S, PAPER_UPDATE_S, TASKS

Row = dict[str, Any]

_HEADERS = {
    "length_s": "s",
    "forward_gflops": "GFLOP forward",
    "head_gflops": "heads'",
    "update_tflops": "TFLOP an update",
    "trained_parameters": "trained",
    "fp32_gib": "GiB fp32",
    "mixed_gib": "GiB mixed",
    "fp32_s": "s fp32, measured",
    "fp32_peak_gib": "GiB fp32, measured",
    "mixed_s": "s mixed, measured",
    "mixed_peak_gib": "GiB mixed, measured",
    "update_audio_s": "s of audio an update",
}


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
    parser.add_argument("--device", default=default_device(), help="(default: %(default)s)")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the rows, too")
    parser.add_argument("--png", metavar="FILE", type=Path, help="draw them, too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=_length)


def _length(args: argparse.Namespace) -> int:
    if (args.frozen or args.unfrozen) and not args.downstream:
        raise BudgetError("--frozen and --unfrozen are of downstream training; add --downstream")
    if args.update_seconds and args.downstream:
        raise BudgetError("--update-seconds is of pre-training; leave out --downstream")
    planned = _plan_tasks(args) if args.downstream else _plan_lengths(args)
    rows = list(_measured(planned, args)) if args.measure else planned
    if args.csv:
        _write_csv(rows, args.csv)
    if args.png:
        _draw(rows, args)
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    print(markdown_table([{_HEADERS.get(k, k): _cell(v) for k, v in row.items()} for row in rows]))
    _print_notes(args)
    return 0


def _plan_lengths(args: argparse.Namespace) -> list[Row]:
    return [
        plan_length(args.size, args.objective, length_s=length, batch=batch, device=_kind(args))
        | _accumulation(length, batch, args)
        for length in args.seconds
        for batch in args.batch
    ]


def _accumulation(length_s: float, batch: int, args: argparse.Namespace) -> Row:
    if not args.update_seconds:
        return {}
    update = accumulate(args.update_seconds, length_s=length_s, batch=batch, gpus=args.gpus)
    return {"update_freq": update.update_freq, "update_audio_s": update.audio_s}


def _plan_tasks(args: argparse.Namespace) -> list[Row]:
    """The frozen and the unfrozen encoder, unless one of them was asked for."""
    kinds = [True] * (not args.unfrozen) + [False] * (not args.frozen)
    return [
        plan_downstream(task, args.size, frozen=frozen, device=_kind(args))
        for task in args.downstream
        for frozen in kinds
    ]


def _kind(args: argparse.Namespace) -> str:
    """Whose attention kernel the closed form is for: a GPU's, unless a CPU is measured."""
    return args.device if args.measure else "cuda"


def _measured(planned: list[Row], args: argparse.Namespace) -> Iterator[Row]:
    measure = measure_tasks if args.downstream else measure_lengths
    done: list[Row] = []
    progress: Iterable[Row] = Progress(planned, unit="cell")
    for row in measure(progress, args.size, device=args.device):
        done.append(row)
        if args.csv:
            _write_csv(done, args.csv)  # at once: an interruption loses one cell only
        yield row


def _write_csv(rows: list[Row], path: Path) -> None:
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _draw(rows: list[Row], args: argparse.Namespace) -> None:
    from fairseq_budget.report.plots import plot_downstream, plot_lengths  # asks for matplotlib

    (plot_downstream if args.downstream else plot_lengths)(rows, args.png)


def _cell(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else cell(value)


def _print_notes(args: argparse.Namespace) -> None:
    print(f"\nFLOPs are the encoder's; {LEFT_OUT}.")
    if args.measure:
        print(f"measured on {machine_name(args.device)}; OOM: memory does not suffice")
