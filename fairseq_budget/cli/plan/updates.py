"""``budget-plan updates``: what a FLOPs budget buys."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace

from fairseq_budget.budget.flops import LEFT_OUT
from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import count, positive, sequence_seconds, whole
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.plan.arguments import add_models, add_sequence
from fairseq_budget.cli.rows import print_rows
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.budget.machine import Machine, find_machine, predict
    from fairseq_budget.budget.recommend import recommend
    from fairseq_budget.budget.updates import UpdatePlan, pays_for, plan_updates


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
    parser.add_argument("--gpus", type=count, default=1, help="GPUs (default: %(default)s)")
    parser.add_argument(
        "--seconds-per-gpu", type=sequence_seconds, default=87.5, metavar="S",
        help="audio in one update on one GPU, accumulation included: dataset.max_tokens / 16000 "
        "x update_freq (default: %(default)s); the paper's batches held 78.03",
    )  # fmt: skip
    add_sequence(parser)
    parser.add_argument("--hours", type=positive, help="hours of audio, for the epochs")
    parser.add_argument(
        "--warmup-updates", type=whole, metavar="N",
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
    rows = [row for objective in args.objective for row in _plan(objective, measured, args)]
    if args.overrides:
        return _print_overrides(rows, args)
    print_rows(rows, as_json=args.json)
    if not args.json:
        _print_notes(rows, measured[0] if measured else None)
    return 0


def _plan(
    objective: str, measured: tuple[str, Machine] | None, args: argparse.Namespace
) -> list[UpdatePlan]:
    """A row for each size, of which one is recommended."""
    rows = [
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
    affordable = pays_for(rows, args.flops, all_of_them=args.overrides)
    best, reason = recommend(
        affordable, flops=args.flops, sequence_s=args.sequence_seconds, hours=args.hours
    )
    machine = measured[1] if measured else Machine()
    return [
        replace(
            row,
            **asdict(predict(machine, row, args.seconds_per_gpu)),
            recommendation=reason if row is best else None,
        )
        for row in rows
    ]


def _print_overrides(rows: list[UpdatePlan], args: argparse.Namespace) -> int:
    if len(args.objective) > 1:
        raise BudgetError(
            f"--overrides with --objective {' '.join(args.objective)}: a preset trains one "
            "objective; name one"
        )
    print("\n".join(row.overrides for row in rows))
    return 0


def _print_notes(rows: list[UpdatePlan], machine: str | None) -> None:
    for row in rows:
        if row.recommendation:
            print(f"\nrecommended for {row.objective}: {row.recommendation}")
    print(f"\nFLOPs are the encoder's, forward and backward; {LEFT_OUT}.")
    if machine is None:
        print("hours and memory: unknown until `budget-plan measure` has run on this machine")
        return
    print(f"hours, and GiB per GPU: from measurements on {machine}")
