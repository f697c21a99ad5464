"""``budget-plan match``: the length to pre-train at, from a downstream set's own lengths."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairseq_budget.budget.accumulation import USABLE_MEMORY
from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import positive
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.plan.arguments import add_gpus, add_model
from fairseq_budget.console.table import markdown_table, table
from fairseq_budget.papers.match_to_win import (
    LENGTHS_S,
    PAPER_UPDATE_S,
    RULE,
    TABLE_1,
    match_length,
)

with imported_later():
    from fairseq_budget.budget.length_histogram import (
        Bar,
        LengthSummary,
        describe_lengths,
        length_histogram,
    )
    from fairseq_budget.budget.lengths import (
        Saving,
        SequencePlan,
        overrides,
        plan_update,
        saving,
    )
    from fairseq_budget.corpus.packed import open_corpus

_BAR = 40  # characters


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "match",
        help="the length to pre-train at for a downstream set",
        description="How long the utterances of a downstream set are, and which length of "
        "pre-training sequences 'Match to win' recommends for them, as we read its Table 1: "
        f"{RULE}. With what that saves against 15 s, and the overrides to train with.",
    )
    parser.add_argument(
        "--manifest", metavar="TSV", type=Path, required=True, help="of the downstream set"
    )
    add_model(parser)
    parser.add_argument(
        "--update-seconds", type=positive, default=PAPER_UPDATE_S, metavar="S",
        help="audio of one update over all GPUs (default: %(default)g, the paper's 1.6 h)",
    )  # fmt: skip
    add_gpus(parser)
    batch = parser.add_mutually_exclusive_group()
    batch.add_argument(
        "--batch-seconds", type=positive, default=87.5, metavar="S",
        help="audio that a GPU holds at a time, at most (default: %(default)s, the presets')",
    )  # fmt: skip
    batch.add_argument(
        "--gpu-gib", type=positive, metavar="G",
        help=f"memory of a GPU instead, of which {USABLE_MEMORY:.0%} is filled by the closed form "
        "for mixed precision (not measured on a GPU)".replace("%", "%%"),
    )  # fmt: skip
    parser.add_argument("--png", metavar="FILE", type=Path, help="draw the lengths, too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.set_defaults(run=_match)


@dataclass(frozen=True)
class _Found:
    """Numbers of the set, of each length, and of the recommended one."""

    lengths: LengthSummary
    histogram: list[Bar]
    plans: list[SequencePlan]
    best: SequencePlan
    saving: Saving
    overrides: str


def _match(args: argparse.Namespace) -> int:
    found = _find(args)
    if args.png:
        from fairseq_budget.report.plots import plot_match  # asks for matplotlib

        mean_s, best_s = found.lengths.mean_s, found.best.length_s
        plot_match(found.histogram, args.png, mean_s=mean_s, recommended_s=best_s)
    if args.json:
        print(json.dumps(_json(found, args), indent=2))
    else:
        _print(found, args)
    return 0


def _find(args: argparse.Namespace) -> _Found:
    sizes = open_corpus(args.manifest.parent, args.manifest.stem).sizes
    lengths = describe_lengths(sizes)
    plans = [_plan(length_s, args) for length_s in LENGTHS_S]
    best = plans[LENGTHS_S.index(match_length(lengths.mean_s))]
    command = overrides(args.size, best)
    assert best.batch is not None  # or there would be no overrides
    saved = saving(args.size, args.objective, length_s=best.length_s, batch=best.batch)
    return _Found(lengths, length_histogram(sizes), plans, best, saved, command)


def _json(found: _Found, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "manifest": str(args.manifest),
        **asdict(found.lengths),
        "histogram": [asdict(bar) for bar in found.histogram],
        "recommended_s": found.best.length_s,
        "rule": RULE,
        "lengths": [asdict(plan) for plan in found.plans],
        "saving": asdict(found.saving),
        "overrides": found.overrides,
        "paper": [
            task._asdict() | {"best_s": task.best_s(), "rule_s": match_length(task.mean_s)}
            for task in TABLE_1
        ],
    }


def _plan(length_s: float, args: argparse.Namespace) -> SequencePlan:
    return plan_update(
        args.size,
        args.objective,
        length_s=length_s,
        wanted_s=args.update_seconds,
        gpus=args.gpus,
        batch_s=args.batch_seconds,
        gpu_gib=args.gpu_gib,
    )


def _print(found: _Found, args: argparse.Namespace) -> None:
    lengths, best = found.lengths, found.best
    print(
        f"{args.manifest}: {lengths.num_utterances:,} utterances, {lengths.hours:.2f} h; "
        f"mean {lengths.mean_s:.2f} s, median {lengths.median_s:.2f} s, "
        f"90 % up to {lengths.p90_s:.2f} s\n"
    )
    _print_histogram(found.histogram)
    print(f"\nPre-train at {best.length_s:g} s: {RULE}.\n")
    print(table(found.plans))
    _print_saving(best, found.saving)
    print(
        f"\nCut the pre-training set with `budget-manifest cut --seconds {best.length_s:g}` "
        f"and train with\n  {found.overrides}\nAn update then holds "
        f"{best.update_audio_s:,.0f} s of audio.\n"
    )
    _print_paper()


def _print_histogram(bars: list[Bar]) -> None:
    most = max(bar.num_utterances for bar in bars)
    for bar in bars:
        end = " up " if bar.is_open else f"- {bar.to_s:g}"
        marks = "#" * -(-_BAR * bar.num_utterances // most)
        print(f"{bar.from_s:>6g} {end:<5} s {marks:<{_BAR}} {bar.num_utterances:,}")


def _print_saving(best: SequencePlan, saved: Saving) -> None:
    print("\nIn closed form: FLOPs of the encoder's forward pass, memory in mixed precision.")
    if best.length_s == LENGTHS_S[-1]:
        print("15 s is the longest length of the study: nothing is saved.")
        return
    print(
        f"Against 15 s, {best.length_s:g} s save {saved.flops:.1%} of the FLOPs and "
        f"{saved.memory:.1%} of the memory for the same seconds of audio, and "
        f"{saved.memory_of_as_many:.0%} of the memory of {best.batch} sequences."
    )


def _print_paper() -> None:
    print("The paper's Table 1 (%; encoder frozen / trained with the downstream model):\n")
    rows = []
    for task in TABLE_1:
        scores = zip(LENGTHS_S, task.frozen, task.unfrozen, strict=True)
        rows.append(
            {
                "task": f"{task.task} ({task.metric})",
                "mean s": f"{task.mean_s:g}",
                **{f"{s:g} s": f"{frozen:.2f} / {other:.2f}" for s, frozen, other in scores},
                "best, frozen": f"{task.best_s():g} s",
                "this rule": f"{match_length(task.mean_s):g} s",
            }
        )
    print(markdown_table(rows))
