"""``budget-plan updates``: what a FLOPs budget buys."""

from __future__ import annotations

import argparse
import json
from typing import Any

from fairseq_budget.budget.flops import LEFT_OUT
from fairseq_budget.budget.machine import find_machine, predict
from fairseq_budget.budget.recommend import recommend
from fairseq_budget.budget.updates import overrides, plan_updates
from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import positive
from fairseq_budget.cli.plan.arguments import add_models, add_sequence
from fairseq_budget.console.table import cell, markdown_table
from fairseq_budget.errors import BudgetError

_HIDDEN = ("overrides", "recommendation")


_HEADERS = {  # of tables for people; JSON keeps the keys
    "gflops_per_audio_second": "GFLOP/s of audio",
    "head_gflops_per_audio_second": "heads'",
    "paper_updates": "paper's",
    "warmup_updates": "warm-up",
    "frames_per_parameter": "frames/parameter",
    "memory_gib": "GiB",
    "audio_seconds": "s of audio",
    "update_s": "s per update",
    "peak_gib": "GiB",
    "tflops_per_second": "TFLOP/s",
    "share_of_peak": "of peak",
}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "updates",
        help="updates that a FLOPs budget pays for",
        description="Updates, epochs and learning rates of every size for one FLOPs budget; hours "
        "and memory too, once `budget-plan measure` has run. Counted is the encoder, "
        f"forward and backward; {LEFT_OUT}.",
    )
    add_models(parser)
    parser.add_argument(
        "--flops", type=positive, required=True, help="the budget, e.g. 1.33e18 (the paper's)"
    )
    parser.add_argument("--gpus", type=int, default=1, help="GPUs (default: %(default)s)")
    parser.add_argument(
        "--seconds-per-gpu", type=positive, default=87.5, metavar="S",
        help="audio in one update on one GPU, accumulation included: dataset.max_tokens / 16000 "
        "x update_freq (default: %(default)s); the paper's batches held 78.03",
    )  # fmt: skip
    add_sequence(parser)
    parser.add_argument("--hours", type=positive, help="hours of audio, for the epochs")
    parser.add_argument(
        "--warmup-updates", type=int, metavar="N",
        help="default: 8 %% of the updates, as the paper's Slim; its runs all had 32000",
    )  # fmt: skip
    parser.add_argument(
        "--machine", metavar="NAME", help="predict for this measured machine (default: this one)"
    )
    parser.add_argument(
        "--overrides", action="store_true",
        help="print one line per size, ready for fairseq-hydra-train and scripts/sweep.sh",
    )  # fmt: skip
    parser.set_defaults(run=_updates)


def _updates(args: argparse.Namespace) -> int:
    measured = find_machine(args.machine)
    plans = {objective: _plan(objective, args) for objective in args.objective}
    rows = [row for plan in plans.values() for row in plan]
    for plan in plans.values():
        best, reason = recommend(
            plan, flops=args.flops, sequence_s=args.sequence_seconds, hours=args.hours
        )
        for row in plan:
            row |= predict(measured[1] if measured else {"encoders": {}}, row, args.seconds_per_gpu)
            row["overrides"] = overrides(row)
            row["recommendation"] = reason if row is best else None
    if args.overrides:
        return _print_overrides(rows, args)
    _print(rows, args)
    if not args.json:
        _print_notes(rows, measured[0] if measured else None)
    return 0


def _plan(objective: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        plan_updates(
            size,
            flops=args.flops,
            gpus=args.gpus,
            seconds_per_gpu=args.seconds_per_gpu,
            sequence_s=args.sequence_seconds,
            hours=args.hours,
            objective=objective,
            head=args.head,
            num_classes=args.num_classes,
            warmup_updates=args.warmup_updates,
        )
        for size in args.size
    ]


def _print_overrides(rows: list[dict[str, Any]], args: argparse.Namespace) -> int:
    if len(args.objective) > 1:
        raise BudgetError(
            f"--overrides with --objective {' '.join(args.objective)}: a preset trains one "
            "objective; name one"
        )
    print("\n".join(row["overrides"] for row in rows))
    return 0


def _print_notes(rows: list[dict[str, Any]], machine: str | None) -> None:
    for row in rows:
        if row["recommendation"]:
            print(f"\nrecommended for {row['objective']}: {row['recommendation']}")
    print(f"\nFLOPs are the encoder's, forward and backward; {LEFT_OUT}.")
    if machine is None:
        print("hours and memory: unknown until `budget-plan measure` has run on this machine")
        return
    print(f"hours, and GiB per GPU: from measurements on {machine}")


def _print(rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    print(json.dumps(rows, indent=2) if args.json else markdown_table(_shown(rows)))


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {_HEADERS.get(key, key): cell(value) for key, value in row.items() if key not in _HIDDEN}
        for row in rows
    ]
