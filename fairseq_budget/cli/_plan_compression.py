"""``budget-plan macs``, ``feasibility`` and ``units``: what shorter sequences save and allow."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairseq_budget.cli._arguments import count, positive
from fairseq_budget.compression import (
    BASELINE_NOTE,
    PROFILER_NUM_SAMPLES,
    ROUNDED_NOTE,
    STUDENT,
    TEACHER,
    count_macs,
    paper_rows,
)
from fairseq_budget.corpus import Corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.feasibility import Labels, ctc_feasibility
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.labels.transcripts import read_phones, read_transcripts
from fairseq_budget.labels.units import (
    PAPER_WORD_PIECES,
    characters,
    units_per_second,
    word_pieces,
)
from fairseq_budget.manifest import Manifest
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.sizes import TRANSFORMER_SIZES
from fairseq_budget.table import cell, markdown_table

Commands = argparse._SubParsersAction  # generic in stubs only

_MACS = {
    "name": "",
    "frame_rate_hz": "Hz",
    "parameters": "parameters",
    "paper_parameters_m": "paper's (M)",
    "gmacs": "GMACs",
    "profiler_gmacs": "as profiled",
    "paper_gmacs": "paper's",
    "body_gmacs": "without front-end",
    "profiler_body_gmacs": "without, as profiled",
    "paper_body_gmacs": "without, paper's",
}
_STUDENT = "subsample", "rate", "segments_per_second", "upsample", "size", "layers", "manifest"
_PERCENT = {"infeasible", "missing", "least_error"}


def add_compression_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Hook the three commands into budget-plan."""
    _add_macs(commands)
    _add_feasibility(commands)
    _add_units(commands)


def _add_macs(commands: Commands[argparse.ArgumentParser]) -> None:
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
    rate.add_argument("--rate", type=float, metavar="R", help="frames per segment (default: 2)")
    rate.add_argument(
        "--segments-per-second", type=positive, metavar="HZ",
        help="measured, of cif and segments, in place of --rate",
    )  # fmt: skip
    parser.add_argument(
        "--upsample", action="store_true", default=None, help="back to 50 Hz (parameters only)"
    )
    parser.add_argument(
        "--size", choices=list(TRANSFORMER_SIZES), help="the student's (default: base)"
    )
    parser.add_argument("--layers", type=count, metavar="L", help="the student's (default: 2)")
    parser.add_argument(
        "--manifest", metavar="TSV", type=Path,
        help="sum over its utterances (default: the 32 that the paper profiled)",
    )  # fmt: skip
    parser.add_argument(
        "--profiler", action="store_true",
        help="more columns: with what the paper's profiler counts besides",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=_macs)


def _add_feasibility(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "feasibility",
        help="whether CTC has frames enough for the labels at lower frame rates",
        description="The share of utterances that have fewer frames than CTC needs for their "
        "labels, at each rate: they train nothing. And the lowest error rate that is left for any "
        "model. Needs durations and transcripts only.",
    )
    _add_transcripts(parser, "learned from the transcripts")
    parser.add_argument(
        "--rates", metavar="R", type=float, nargs="+", default=[1, 2, 4, 8],
        help="frames of 50 Hz that become one (default: 1 2 4 8)",
    )  # fmt: skip
    parser.set_defaults(run=_feasibility, word_pieces=[])


def _add_units(commands: Commands[argparse.ArgumentParser]) -> None:
    sizes = " ".join(map(str, PAPER_WORD_PIECES))
    parser = commands.add_parser(
        "units",
        help="phones, characters and word pieces per second of a corpus",
        description="How many phones, characters and word pieces a second holds on average: the "
        "frame rate that a recogniser needs at least.",
    )
    _add_transcripts(parser, f"learned from the transcripts (default: {sizes})")
    parser.add_argument("--png", metavar="FILE", type=Path, help="draw them, too")
    parser.set_defaults(run=_units, word_pieces=list(PAPER_WORD_PIECES))


def _add_transcripts(parser: argparse.ArgumentParser, word_pieces: str) -> None:
    parser.add_argument("--manifest", metavar="TSV", type=Path, required=True)
    parser.add_argument(
        "--transcripts", metavar="PATH", type=Path, required=True,
        help="one line per utterance (.wrd, .ltr, ...), the demo corpus's utterances.tsv, or a "
        "folder with LibriSpeech's *.trans.txt",
    )  # fmt: skip
    parser.add_argument(
        "--phones", metavar="PATH", type=Path,
        help="one line of phones per utterance, or a table of phones in time (phones.tsv); "
        "silences do not count",
    )  # fmt: skip
    parser.add_argument(
        "--word-pieces", metavar="N", type=count, nargs="*",
        help=f"sizes of vocabularies, {word_pieces}",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _macs(args: argparse.Namespace) -> int:
    lengths = Corpus.open(args.manifest).sizes if args.manifest else PROFILER_NUM_SAMPLES
    if all(getattr(args, option) is None for option in _STUDENT):
        rows = paper_rows()
    else:
        rows = [
            count_macs("teacher (HuBERT Base)", TEACHER, lengths),
            count_macs("student", _student(args), lengths),
        ]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    keys = [k for k in _MACS if k in rows[0] and (args.profiler or "profiler" not in k)]
    print(markdown_table([{_MACS[key]: _cell(row[key]) for key in keys} for row in rows]))
    if "paper_gmacs" in keys:
        print(f"\n{BASELINE_NOTE}.\n\n{ROUNDED_NOTE}.")
    return 0


def _student(args: argparse.Namespace) -> EncoderConfig:
    kind = args.subsample or "none"
    rate = STUDENT.subsample_rate if args.rate is None else args.rate
    if kind == "none" and (args.rate or args.segments_per_second or args.upsample):
        raise BudgetError("a rate without a subsampling; add --subsample average, say")
    if args.segments_per_second:
        if kind not in ("cif", "segments"):
            raise BudgetError(
                f"--segments-per-second with {kind}, whose rate is fixed; give --rate"
            )
        rate = FRAME_RATE_HZ / args.segments_per_second
    return replace(
        STUDENT,
        size=args.size or STUDENT.size,
        encoder_layers=STUDENT.encoder_layers if args.layers is None else args.layers,
        subsample=kind,
        subsample_rate=rate,
        upsample=bool(args.upsample),
    )


def _feasibility(args: argparse.Namespace) -> int:
    sizes, units = _read(args)
    rows = [
        {"unit": name, **ctc_feasibility(sizes, labels, rate=rate)}
        for name, labels in units.items()
        for rate in args.rates
    ]
    _print(rows, args)
    return 0


def _units(args: argparse.Namespace) -> int:
    sizes, units = _read(args)
    rows = [units_per_second(name, labels, sizes) for name, labels in units.items()]
    if args.png:
        from fairseq_budget.plots import plot_units  # asks for matplotlib

        plot_units(rows, args.png)
    _print(rows, args)
    return 0


def _read(args: argparse.Namespace) -> tuple[list[int], dict[str, list[Labels]]]:
    """The utterances' lengths in samples, and their labels in each unit that was asked for.

    Vocabularies that the text is too small for are named and left out.
    """
    manifest = Manifest.read(args.manifest)
    units: dict[str, Any] = {}
    if args.phones:
        units["phones"] = read_phones(args.phones, manifest)
    texts = read_transcripts(args.transcripts, manifest)
    units["characters"] = characters(texts)
    if args.word_pieces:
        units |= _learn_word_pieces(texts, args.word_pieces)
    return [utterance.num_samples for utterance in manifest.utterances], units


def _learn_word_pieces(texts: list[str], sizes: list[int]) -> dict[str, list[list[int]]]:
    from fairseq_budget.labels.word_pieces import VocabularyError  # asks for sentencepiece

    units = {}
    for size in sizes:
        try:
            units[f"{size} word pieces"] = word_pieces(texts, size)
        except VocabularyError as error:
            print(f"left out: {error}", file=sys.stderr)
    return units


def _print(rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    shown = [
        {
            key.replace("_", " "): f"{value:.1%}" if key in _PERCENT else cell(value)
            for key, value in row.items()
        }
        for row in rows
    ]
    print(markdown_table(shown))


def _cell(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else cell(value)
