"""budget-plan: what every size holds, what a FLOPs budget buys, and what this machine takes."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from fairseq_budget.cli import user_errors
from fairseq_budget.cli._arguments import positive
from fairseq_budget.cli._plan_compression import add_compression_commands
from fairseq_budget.cli._plan_length import add_length_command
from fairseq_budget.cli._plan_match import add_match_command
from fairseq_budget.errors import BudgetError
from fairseq_budget.flops import LEFT_OUT
from fairseq_budget.measure import default_device
from fairseq_budget.measurements import (
    find_machine,
    measure_machine,
    measured_rows,
    predict,
    read_measurements,
)
from fairseq_budget.objectives import MASK_PROB, NUM_CLASSES
from fairseq_budget.plan import count_parameters, overrides, plan_updates
from fairseq_budget.recommend import recommend
from fairseq_budget.sizes import SIZES
from fairseq_budget.table import cell, markdown_table

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


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-plan", description="Parameters, FLOPs and updates, before anything is trained."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_params(commands)
    _add_updates(commands)
    _add_measure(commands)
    add_compression_commands(commands)
    add_length_command(commands)
    add_match_command(commands)
    return parser


Commands = argparse._SubParsersAction  # generic in stubs only


def _add_params(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("params", help="trainable parameters of every size")
    _add_model(parser)
    parser.add_argument(
        "--extractor-mode", choices=["default", "layer_norm"], default="default",
        help="norm of the front-end (default: group norm in its first layer)",
    )  # fmt: skip
    parser.set_defaults(run=_params)


def _add_updates(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "updates",
        help="updates that a FLOPs budget pays for",
        description="Updates, epochs and learning rates of every size for one FLOPs budget; hours "
        "and memory too, once `budget-plan measure` has run. Counted is the encoder, "
        f"forward and backward; {LEFT_OUT}.",
    )
    _add_model(parser)
    parser.add_argument(
        "--flops", type=positive, required=True, help="the budget, e.g. 1.33e18 (the paper's)"
    )
    parser.add_argument("--gpus", type=int, default=1, help="GPUs (default: %(default)s)")
    parser.add_argument(
        "--seconds-per-gpu", type=positive, default=87.5, metavar="S",
        help="audio in one update on one GPU, accumulation included: dataset.max_tokens / 16000 "
        "x update_freq (default: %(default)s); the paper's batches held 78.03",
    )  # fmt: skip
    _add_sequence(parser)
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


def _add_measure(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "measure",
        help="time a few updates on this machine, for the predictions of `updates`",
        description="Time a few updates of each encoder (all objectives share it), its peak "
        "memory, and a large matrix product; float32, and half precision on a GPU. "
        "Kept in ~/.cache/fairseq_budget/measurements.json.",
    )
    _add_sizes(parser)
    parser.add_argument("--device", default=default_device(), help="(default: %(default)s)")
    parser.add_argument(
        "--seconds-per-gpu", type=positive, metavar="S",
        help="audio in an update (default: 87.5 on a GPU, one sequence on a CPU)",
    )  # fmt: skip
    _add_sequence(parser)
    parser.set_defaults(run=_measure)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--objective", nargs="+", choices=list(MASK_PROB), default=["tera"], metavar="O",
        help=f"one or more of {', '.join(MASK_PROB)} (default: tera)",
    )  # fmt: skip
    parser.add_argument(
        "--head", choices=["cosine", "linear"], default="cosine", help="HuBERT's (default: cosine)"
    )
    parser.add_argument(
        "--num-classes", type=int, default=NUM_CLASSES, metavar="N",
        help="HuBERT's clusters + 4 (default: %(default)s)",
    )  # fmt: skip
    _add_sizes(parser)


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size", nargs="+", choices=list(SIZES), default=list(SIZES), metavar="SIZE",
        help=f"sizes to list (default: all): {', '.join(SIZES)}",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_sequence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sequence-seconds", type=positive, default=14.0, metavar="S",
        help="length of a training sequence (default: %(default)s, the paper's mean)",
    )  # fmt: skip


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return int(args.run(args))


def _params(args: argparse.Namespace) -> int:
    rows = [
        count_parameters(
            size,
            objective,
            head=args.head,
            num_classes=args.num_classes,
            extractor_mode=args.extractor_mode,
        )
        for objective in args.objective
        for size in args.size
    ]
    _print(rows, args)
    return 0


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
    _print(measured_rows(machine, args.size), args)
    if not args.json:
        for kind, peak in read_measurements()[machine]["peak_flops"].items():
            print(f"{machine}: {kind} matrix products reach {peak / 1e12:.3g} TFLOP/s")
    return 0


def _print(rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    print(json.dumps(rows, indent=2) if args.json else markdown_table(_shown(rows)))


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {_HEADERS.get(key, key): cell(value) for key, value in row.items() if key not in _HIDDEN}
        for row in rows
    ]
