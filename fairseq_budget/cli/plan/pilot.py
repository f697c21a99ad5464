"""``budget-plan pilot``: the small runs that a forecast of a large one is fitted on."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairseq_budget.budget.flops import LEFT_OUT
from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import count, positive, sequence_seconds, share
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.plan.arguments import add_gpus
from fairseq_budget.cli.rows import add_json, print_rows
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.papers.compute_budget import MASK_PROB, MOST_EPOCHS
from fairseq_budget.run.presets import STUDY_PRESETS, find_preset, preset_folder

with imported_later():
    from fairseq_budget.budget.families import dimensions_of, family, find_encoder
    from fairseq_budget.budget.machine import find_machine
    from fairseq_budget.budget.pilot import Pilot, design, held_out
    from fairseq_budget.budget.pilot_grid import Setting
    from fairseq_budget.budget.presets import Preset, read_preset
    from fairseq_budget.corpus.packed import open_corpus
    from fairseq_budget.data.batches import Batches, Limits


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "pilot",
        help="the small runs that a forecast of a large one is fitted on",
        description="A grid of sizes x budgets, all of them within a share of the large run's "
        "FLOPs. At each budget the sizes lie around the one that is expected to be best; "
        "neighbouring budgets share sizes.",
    )
    parser.add_argument(
        "--objective", choices=list(MASK_PROB), default="tera", metavar="O",
        help=f"{', '.join(MASK_PROB)} (default: tera)",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="folder of manifests")
    parser.add_argument(
        "--flops", type=positive, required=True, help="the large run's budget, e.g. 1.33e18"
    )
    parser.add_argument(
        "--share", type=share, default=0.1,
        help="of these FLOPs, for the whole pilot (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--sizes", nargs="+", metavar="SIZE",
        help="named sizes, or members of their families: tiny:0.5 has about half of tiny's "
        "parameters in its layers (default: the family of the preset's size)",
    )  # fmt: skip
    parser.add_argument("--budgets", type=count, default=3, metavar="N", help="(default: 3)")
    parser.add_argument(
        "--preset", metavar="P", help="such as tera_demo (default: the objective's librispeech)"
    )
    parser.add_argument(
        "--seeds", type=count, default=1, metavar="N", help="runs of each cell (default: 1)"
    )
    add_gpus(parser)
    parser.add_argument(
        "--batch-seconds", type=sequence_seconds, metavar="S",
        help="audio that a GPU holds at a time, at most (default: the preset's)",
    )  # fmt: skip
    parser.add_argument(
        "--most-repetitions", type=positive, default=MOST_EPOCHS, metavar="N",
        help="how often a run may hear the data (default: %(default)s, the study's most)",
    )  # fmt: skip
    parser.add_argument(
        "--subsets", type=Path, nargs="+", default=[], metavar="DIR",
        help="train a size on each of these, too, that the forecast is told what repetitions are "
        "worth: folders of `budget-manifest subset`, so small that they are heard often",
    )  # fmt: skip
    parser.add_argument(
        "--machine", metavar="NAME", help="predict for this measured machine (default: this one)"
    )
    parser.add_argument(
        "--held-out", action="store_true",
        help="instead of a pilot, three sizes at --flops, or all of --sizes: whether a forecast is "
        "right",
    )  # fmt: skip
    add_json(parser)
    parser.add_argument(
        "--overrides", action="store_true", help="print one line per run, for scripts/sweep.sh"
    )
    parser.set_defaults(run=_pilot)


def _pilot(args: argparse.Namespace) -> int:
    folder, measured = preset_folder(), find_machine(args.machine)
    preset = read_preset(folder / f"{_preset_name(args, folder)}.yaml")
    if preset.objective != args.objective:
        raise BudgetError(
            f"--preset {args.preset} trains {preset.objective}, not {args.objective}: add "
            f"--objective {preset.objective}, or name another preset"
        )
    names = args.sizes or family(preset.encoder.size)
    encoders = {
        name: replace(preset.encoder, **dimensions_of(find_encoder(name))) for name in names
    }
    options: dict[str, Any] = {
        "flops": args.flops,
        "seeds": range(1, args.seeds + 1),
        "machine": measured[1] if measured else None,
    }
    setting = _setting(preset, args.data, args)
    if args.held_out:
        if args.subsets:
            raise BudgetError("--subsets are part of a pilot: leave them out with --held-out")
        if args.sizes:
            options["num_sizes"] = len(names)
        pilot = held_out(encoders, setting, **options)
    else:
        subsets = [
            replace(_setting(preset, folder, args), data=str(folder.absolute()))
            for folder in args.subsets
        ]
        grid = {"share": args.share, "num_budgets": args.budgets, "subsets": subsets}
        pilot = design(encoders, setting, **grid, **options)
    if args.overrides:
        print("\n".join(run.overrides for run in pilot.runs))
        return 0
    print_rows(pilot.runs, as_json=args.json)
    if not args.json:
        _print_notes(pilot, preset, folder, measured[0] if measured else None, args)
    return 0


def _preset_name(args: argparse.Namespace, folder: Path) -> str:
    return find_preset(args.preset or STUDY_PRESETS[args.objective], folder)


def _setting(preset: Preset, data: Path, args: argparse.Namespace) -> Setting:
    """What runs share, by the batches that training would make of the data."""
    corpus = open_corpus(data, preset.train_subset)
    max_tokens = preset.max_tokens
    if args.batch_seconds:
        max_tokens = round(args.batch_seconds * SAMPLE_RATE)
    batches = Batches(
        corpus.sizes, corpus.by_size, Limits(max_tokens, preset.batch_size, preset.multiple),
        seed=1, max_size=preset.max_sample_size, min_size=preset.min_sample_size,
    )  # fmt: skip
    if not len(batches):
        raise BudgetError(
            f"no utterance of {data} has the {preset.min_sample_size / SAMPLE_RATE:g} s that "
            f"{preset.name} asks for (task.min_sample_size): name another --preset or --data"
        )
    heard = batches.update_audio(args.gpus * preset.update_freq, pad=preset.pad_audio)
    return Setting(
        preset=preset,
        update_s=heard.seconds,
        sequence_s=heard.sequence_s,
        data_hours=heard.updates_per_epoch * heard.seconds / 3600,
        max_tokens=max_tokens,
        gpus=args.gpus,
        most_repetitions=args.most_repetitions,
    )


def _print_notes(
    pilot: Pilot, preset: Preset, folder: Path, machine: str | None, args: argparse.Namespace
) -> None:
    hours = [run.hours for run in pilot.runs if run.hours is not None]
    here = f", {sum(hours):.3g} hours" if hours else ""
    print(
        f"\nall {len(pilot.runs)} runs: {pilot.flops:.3g} FLOPs, {pilot.flops / args.flops:.2%} of "
        f"{args.flops:g}{here}"
    )
    if pilot.beyond:
        print(
            f"at {', '.join(f'{flops:.3g}' for flops in pilot.beyond)} FLOPs the best size is "
            "expected beyond these: name others with --sizes"
        )
    print(f"FLOPs are the encoder's, forward and backward; {LEFT_OUT}.")
    if machine is None:
        print("hours here: unknown until `budget-plan measure` has run on this machine")
    else:
        print(f"hours here: at the speed of the nearest size that was measured on {machine}")
    where = ["--config-dir", str(folder), "--config-name", preset.name]
    data = [f"+task.user_dir=fairseq_budget task.data={shlex.quote(str(args.data))}"]
    print("run them: the same command with --overrides | scripts/sweep.sh OUT", *where, *data)
