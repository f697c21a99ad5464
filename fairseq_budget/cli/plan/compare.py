"""``budget-plan compare``: several recipes at one budget."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from fairseq_budget.budget.flops import LEFT_OUT
from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import positive
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.rows import add_json, print_rows
from fairseq_budget.frames import hours
from fairseq_budget.nn.config import EncoderConfig

with imported_later():
    from fairseq_budget.budget.machine import find_machine
    from fairseq_budget.budget.recipes import (
        Recipe,
        RecipeRow,
        compare,
        incomparable,
        parse_recipes,
        read_recipes,
    )
    from fairseq_budget.corpus.packed import open_corpus
    from fairseq_budget.forecast.running import expected_end


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "compare",
        help="several recipes at one budget",
        description="What recipes hold, hear, need and take at one budget. Keys of a recipe: "
        "objective, size, head, num_classes, optimizer, sequence_s, batch_s, update_freq, gpus, "
        f"forecast; and the encoder's fields: {', '.join(EncoderConfig.__dataclass_fields__)}.",
    )
    parser.add_argument(
        "--flops", type=positive, required=True, help="the budget of each, e.g. 1.33e18"
    )
    recipes = parser.add_mutually_exclusive_group(required=True)
    recipes.add_argument(
        "--recipe", nargs="+", action="extend", metavar="NAME:KEY=VALUE,...",
        help="such as short:size=slim,sequence_s=5",
    )  # fmt: skip
    recipes.add_argument(
        "--recipes", type=Path, metavar="FILE", help="them in yaml or JSON, {name: {key: value}}"
    )
    parser.add_argument("--data", type=Path, help="folder of manifests, for the repetitions")
    parser.add_argument(
        "--tflops", type=positive, metavar="T",
        help="TFLOP/s that a GPU makes of the encoder (default: measured, by `budget-plan "
        "measure`)",
    )  # fmt: skip
    parser.add_argument(
        "--machine", metavar="NAME", help="predict for this measured machine (default: this one)"
    )
    add_json(parser)
    parser.set_defaults(run=_compare)


def _compare(args: argparse.Namespace) -> int:
    recipes = read_recipes(args.recipes) if args.recipes else parse_recipes(args.recipe)
    measured = None if args.tflops else find_machine(args.machine)
    rows = compare(
        recipes,
        flops=args.flops,
        data_hours=hours(open_corpus(args.data, "train").num_samples) if args.data else None,
        machine=measured[1] if measured else None,
        flops_per_second=args.tflops and args.tflops * 1e12,
    )
    rows = [_foretold(row, recipes[row.recipe], args.flops) for row in rows]
    print_rows(rows, as_json=args.json)
    if not args.json:
        speed = "unknown until `budget-plan measure` has run on this machine, or with --tflops"
        if args.tflops:
            speed = f"at {args.tflops:g} TFLOP/s on a GPU"
        elif measured:
            speed = f"at the speed of the nearest size that was measured on {measured[0]}"
        print(f"\nhours: {speed}; GiB: in closed form, in mixed precision, with Adam's state")
        print(f"FLOPs are the encoder's, forward and backward; {LEFT_OUT}.")
        if warning := incomparable(list(recipes.values())):
            print(warning)
    return 0


def _foretold(row: RecipeRow, recipe: Recipe, flops: float) -> RecipeRow:
    """The row with the loss that its recipe's forecast expects."""
    if recipe.forecast is None:
        return row
    end = expected_end(
        Path(recipe.forecast),
        objective=recipe.objective,
        encoder=recipe.config,
        flops=flops,
    )
    return replace(row, loss=end.loss, low=end.low, high=end.high)
