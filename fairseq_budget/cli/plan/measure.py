"""``budget-plan measure``: a few updates timed on this machine."""

from __future__ import annotations

import argparse
import sys

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import add_device, sequence_seconds
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.plan.arguments import add_sequence, add_sizes
from fairseq_budget.cli.rows import print_rows

with imported_later():
    from fairseq_budget.budget.machine import (
        advice,
        measure_machine,
        measured_rows,
        read_measurements,
    )


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "measure",
        help="time a few updates on this machine, for the predictions of `updates`",
        description="Time a few updates of each encoder (all objectives share it), its peak "
        "memory, and a large matrix product; in float32, and in half precision where the device "
        "has it. "
        "Kept in ~/.cache/fairseq_budget/measurements.json.",
    )
    add_sizes(parser)
    add_device(parser)
    parser.add_argument(
        "--seconds-per-gpu", type=sequence_seconds, metavar="S",
        help="audio in an update (default: 87.5 on a GPU, one sequence on a CPU)",
    )  # fmt: skip
    add_sequence(parser)
    parser.set_defaults(run=_measure)


def _measure(args: argparse.Namespace) -> int:
    seconds = args.seconds_per_gpu
    if seconds is None:
        seconds = args.sequence_seconds if args.device == "cpu" else 87.5
    machine, left_out = measure_machine(
        args.size, device=args.device, seconds=seconds, sequence_s=args.sequence_seconds
    )
    for name in left_out:
        print(
            f"{name}: left out, {seconds:g} s do not fit into memory; try a smaller "
            "--seconds-per-gpu",
            file=sys.stderr,
        )
    print_rows(measured_rows(machine, args.size), as_json=args.json)
    if not args.json:
        known = read_measurements()[machine]
        print("\n".join(advice(known, args.size)))
        for kind, peak in known.peak_flops.items():
            print(f"{machine}: {kind} matrix products reach {peak / 1e12:.3g} TFLOP/s")
    return 0
