"""budget-plan: what every size holds, and what a FLOPs budget buys."""

from __future__ import annotations

import argparse
import json
from typing import Any

from fairseq_budget.cli import user_errors
from fairseq_budget.plan import count_parameters, plan_updates
from fairseq_budget.sizes import SIZES
from fairseq_budget.table import markdown_table


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-plan", description="Parameters, FLOPs and updates, before anything is trained."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    params = commands.add_parser("params", help="trainable parameters of every size")
    updates = commands.add_parser("updates", help="updates that a FLOPs budget pays for")
    for command in (params, updates):
        command.add_argument("--objective", choices=["tera"], default="tera")
        command.add_argument(
            "--size", nargs="+", choices=list(SIZES), default=list(SIZES), metavar="SIZE",
            help=f"sizes to list (default: all): {', '.join(SIZES)}",
        )  # fmt: skip
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    updates.add_argument(
        "--flops", type=float, required=True, help="training budget, e.g. 1.33e18 (the paper's)"
    )
    updates.add_argument("--gpus", type=int, default=1, help="GPUs (default: %(default)s)")
    updates.add_argument(
        "--seconds-per-gpu", type=float, default=87.5, metavar="S",
        help="audio in one update on one GPU, accumulation included: dataset.max_tokens / 16000 "
        "x update_freq (default: %(default)s); the paper's batches held 78.03",
    )  # fmt: skip
    updates.add_argument(
        "--sequence-seconds", type=float, default=14.0, metavar="S",
        help="length of a training sequence (default: %(default)s, the paper's mean)",
    )  # fmt: skip
    updates.add_argument("--hours", type=float, help="hours of audio in the corpus, for the epochs")
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.command == "params":
        rows = [count_parameters(size, args.objective) for size in args.size]
    else:
        rows = [
            plan_updates(
                size,
                flops=args.flops,
                gpus=args.gpus,
                seconds_per_gpu=args.seconds_per_gpu,
                sequence_s=args.sequence_seconds,
                hours=args.hours,
                objective=args.objective,
            )
            for size in args.size
        ]
    print(json.dumps(rows, indent=2) if args.json else markdown_table(_shown(rows)))
    return 0


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{key: _cell(value) for key, value in row.items()} for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
