"""``budget-plan macs``: what shorter sequences save a distilled student."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairseq_budget.budget.families import dimensions_of, find_encoder, size_of
from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import count, finite, positive
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.plan.arguments import NAMES, encoder_name
from fairseq_budget.cli.rows import add_json, print_rows
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.papers.sequence_compression import (
    BASELINE_NOTE,
    PROFILER_NUM_SAMPLES,
    ROUNDED_NOTE,
    STUDENT,
    TEACHER,
)
from fairseq_budget.sizes import TRANSFORMER_SIZES

with imported_later():
    from fairseq_budget.budget.students import count_macs, paper_rows
    from fairseq_budget.corpus.plain import read_text

_STUDENT = "subsample", "rate", "segments_per_second", "upsample", "size", "layers", "manifest"


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "macs",
        help="what a distilled student with shortened sequences costs",
        description="GMACs and parameters of a student (by default two layers of HuBERT Base, as "
        "DistilHuBERT) and of its teacher; without options, the rows of Table 2 of 'On Compressing "
        "Sequences for Self-Supervised Speech Models' beside the paper's values. Matrix products "
        "and convolutions count; heads and upsampling do not.",
    )
    parser.add_argument("--subsample", choices=["none", "average", "conv", "cif", "segments"])
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--rate", type=finite, metavar="R", help="frames per segment (default: 2)")
    rate.add_argument(
        "--segments-per-second", type=positive, metavar="HZ",
        help="measured, of cif and segments, in place of --rate",
    )  # fmt: skip
    parser.add_argument(
        "--upsample", action="store_true", default=None, help="back to 50 Hz (parameters only)"
    )
    parser.add_argument(
        "--size", type=_transformer, metavar="SIZE",
        help=f"the student's (default: base): {', '.join(TRANSFORMER_SIZES)}; {NAMES}",
    )  # fmt: skip
    parser.add_argument("--layers", type=count, metavar="L", help="the student's (default: 2)")
    parser.add_argument(
        "--manifest", metavar="TSV", type=Path,
        help="sum over its utterances (default: the 32 that the paper profiled)",
    )  # fmt: skip
    parser.add_argument(
        "--profiler", action="store_true",
        help="more columns: with what the paper's profiler counts besides",
    )  # fmt: skip
    add_json(parser)
    parser.set_defaults(run=_macs)


def _macs(args: argparse.Namespace) -> int:
    lengths = read_text(args.manifest).sizes if args.manifest else PROFILER_NUM_SAMPLES
    if all(getattr(args, option) is None for option in _STUDENT):
        rows = paper_rows()
    else:
        rows = [
            count_macs("teacher (HuBERT Base)", TEACHER, lengths),
            count_macs("student", _student(args), lengths),
        ]
    hide = () if args.profiler else ("profiler_gmacs", "profiler_body_gmacs")
    print_rows(rows, as_json=args.json, hide=hide)
    if rows[0].paper_gmacs is not None and not args.json:
        print(f"\n{BASELINE_NOTE}.\n\n{ROUNDED_NOTE}.")
    return 0


def _student(args: argparse.Namespace) -> EncoderConfig:
    kind = args.subsample or "none"
    rate = STUDENT.subsample_rate if args.rate is None else args.rate
    if kind == "none" and (args.rate is not None or args.segments_per_second or args.upsample):
        raise BudgetError("a rate without a subsampling; add --subsample average, say")
    if args.segments_per_second:
        if kind not in ("cif", "segments"):
            raise BudgetError(
                f"--segments-per-second with {kind}, whose rate is fixed; give --rate"
            )
        rate = FRAME_RATE_HZ / args.segments_per_second
    fields: dict[str, Any] = {
        "subsample": kind,
        "subsample_rate": rate,
        "upsample": bool(args.upsample),
    }
    fields |= dimensions_of(find_encoder(args.size)) if args.size else {}
    fields |= {"encoder_layers": args.layers} if args.layers is not None else {}
    return replace(STUDENT, **fields)


def _transformer(text: str) -> str:
    if size_of(encoder_name(text)) not in TRANSFORMER_SIZES:
        raise argparse.ArgumentTypeError(f"{text}: expected one of {', '.join(TRANSFORMER_SIZES)}")
    return text
