"""``budget-plan forecast``: the loss of a run that is planned, from runs that are finished."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import positive, seed
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.plan.arguments import add_sequence
from fairseq_budget.cli.rows import print_rows
from fairseq_budget.console.table import escaped, table
from fairseq_budget.errors import BudgetError
from fairseq_budget.sizes import SIZES

with imported_later():
    from fairseq_budget.forecast.checks import require_alike
    from fairseq_budget.forecast.fit import fit
    from fairseq_budget.forecast.held_out import held_out_rows, verdict
    from fairseq_budget.forecast.isoflop import BudgetRow, budget_rows, by_budget
    from fairseq_budget.forecast.planned import (
        Forecast,
        Plan,
        forecast,
        read_plan,
        write_forecast,
    )
    from fairseq_budget.forecast.points import Point, corpus_hours, read_points, write_points
    from fairseq_budget.forecast.scores import ScoreRow, score_rows
    from fairseq_budget.forecast.seeds import SeedRow, seed_rows


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "forecast",
        help="the loss of a planned run, from small runs that are finished",
        description="Fit L(N, D) = E + A N^-a + B D^-b to finished runs of one objective, and say "
        "what loss each size would end with for a budget, between what 80 %% of such runs lie, and "
        "which to take; or why that cannot be said. Without --flops: what the runs themselves "
        "show, the best size at each of their budgets, and whether scores follow losses.",
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN",
        help="folders with train.log and checkpoint_last.pt, or .tsv and .json of --save",
    )  # fmt: skip
    parser.add_argument("--flops", type=positive, metavar="F", help="the budget of the planned run")
    parser.add_argument(
        "--size", nargs="+", metavar="SIZE", default=list(SIZES),
        help="sizes that it may have (default: all), with fields of the model behind commas: "
        "slim tiny,encoder_layers=6",
    )  # fmt: skip
    add_sequence(parser)
    parser.add_argument(
        "--hours",
        type=positive,
        help="audio in the corpus of the planned run (default: the runs', if their logs tell it)",
    )
    parser.add_argument("--seed", type=seed, default=0, help="of draws (default: %(default)s)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the runs, a .tsv or .json")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw runs, curves and forecast")
    parser.add_argument(
        "--out", type=Path, metavar="JSON", help="write the forecast, for task.forecast=JSON"
    )
    parser.add_argument(
        "--against", type=Path, nargs="+", metavar="RUN",
        help="runs that are not fitted: what they ended with, beside what was expected of them",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.set_defaults(run=_forecast)


def _forecast(args: argparse.Namespace) -> int:
    plans = [read_plan(text) for text in args.size]
    points = read_points(args.runs)
    require_alike(points)
    if args.save:
        write_points(args.save, points)
    found = _planned(points, plans, args)
    best = found.recommended_row if found else None
    budgets = budget_rows(points, args.seed)
    scores = score_rows(points, args.seed, best.loss if best else None)
    seeds = seed_rows(points)
    if args.png:
        _draw(points, budgets, found, args.png)
    if args.out and found:
        write_forecast(args.out, found)
    if args.against:
        return _print_against(points, read_points(args.against), args)
    if args.json:
        parts: dict[str, Any] = {"forecast": found and asdict(found)}
        rows: dict[str, Sequence[Any]] = {"budgets": budgets, "scores": scores, "seeds": seeds}
        parts |= {name: [asdict(row) for row in own] for name, own in rows.items()}
        print(json.dumps(parts, indent=2))
    else:
        _print(found, budgets, scores, seeds)
    return 0


def _print_against(points: list[Point], runs: list[Point], args: argparse.Namespace) -> int:
    rows = held_out_rows(fit(points, args.seed), runs)
    print_rows(rows, as_json=args.json)
    if not args.json:
        print(f"\n{verdict(rows, runs)}")
    return 0


def _planned(points: list[Point], plans: list[Plan], args: argparse.Namespace) -> Forecast | None:
    if args.flops is None:
        if args.out:
            raise BudgetError("--out writes a forecast: give --flops, the budget that it is for")
        return None
    law, hours = fit(points, args.seed), args.hours or corpus_hours(points)
    return forecast(law, plans, flops=args.flops, sequence_s=args.sequence_seconds, hours=hours)


def _draw(
    points: list[Point], budgets: list[BudgetRow], found: Forecast | None, path: Path
) -> None:
    from fairseq_budget.report.plots import plot_forecast  # asks for matplotlib

    rows = found.rows if found else []
    best = found.recommended_row if found else None
    plot_forecast(
        by_budget(points, budgets),
        [(row.parameters, e.loss, e.low, e.high) for row in rows if (e := row.expected)],
        path,
        best=best.parameters if best else None,
        title=f"{points[0].objective}" + (f", {found.flops:.3g} FLOPs planned" if found else ""),
    )


def _print(
    found: Forecast | None,
    budgets: list[BudgetRow],
    scores: list[ScoreRow],
    seeds: list[SeedRow],
) -> None:
    if found:
        print(f"{found.objective} for {found.flops:g} FLOPs, by {found.num_runs} runs:\n")
        if found.left_out:
            without = ", ".join(map(escaped, found.left_out))
            print(f"Left out, since they have learned no more than to guess: {without}\n")
        print(table(found.rows))
        print(f"\n{_recommendation(found)}\n\n{_law(found)}")
    if budgets:
        print("\nBy a parabola at each budget with three sizes or more:\n")
        print(table(budgets))
    if scores:
        print("\nScores, by losses:\n")
        print(table(scores))
    if seeds:
        print("\nRuns that differ in their seed alone:\n")
        print(table(seeds))
    if not (found or budgets or scores or seeds):
        print(
            "no budget has three sizes, no run has scores, and none two seeds: give --flops for a "
            "forecast"
        )


def _recommendation(found: Forecast) -> str:
    best = found.recommended
    if best is None:
        return "recommended: none, for the reasons above"
    if not found.law.knows_size:
        return (
            "recommended: none, the runs show no effect of size; a size that hears more has less "
            "loss here only because of that"
        )
    edge = f" It is the {best.edge} of them: ask about others, too." if best.edge else ""
    as_good = ", ".join(escaped(row.size) for row in found.rows if row.as_good)
    return (
        f"recommended: {escaped(best.size)}, the best of these sizes by {best.share:.0%} of the "
        f"laws that the runs allow; by 80 % of them the best has {best.low:,} to {best.high:,} "
        f"encoder parameters. Within 1 % of its loss: {as_good}.{edge}"
    )


def _law(found: Forecast) -> str:
    law = found.law
    source = "fitted" if law.is_repeats_fitted else "as HuBERT had it on 0.7 h of speech"
    repeats = f"Frames that are heard again count less, by R* = {law.repeats:.4g}, {source}."
    if found.guesses_repeats:
        repeats += (
            " It differs: `budget-plan pilot --subsets` adds runs that tell it of your speech."
        )
    if all(row.repetitions is None for row in found.rows):
        repeats = "All frames are taken to be new ones: give --hours if the corpus is repeated."
    size = f"{law.size_factor:.4g} N^-{law.size_exponent:.3g} + " if law.knows_size else ""
    return (
        f"L = {law.irreducible:.4g} + {size}"
        f"{law.data_factor:.4g} D^-{law.data_exponent:.3g}, N encoder parameters and D frames of "
        f"50 Hz; losses lie {found.noise:.2%} around it. {repeats}"
    )
