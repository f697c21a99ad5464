"""``budget-labels boundaries``: segments from TextGrids, tables or wav2vec-U 2.0."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import positive
from fairseq_budget.cli.labels.segment_outcome import add_segmentation, print_segments
from fairseq_budget.cli.later import imported_later
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.corpus.corpus import Corpus
    from fairseq_budget.corpus.plain import read_text
    from fairseq_budget.corpus.segments import Ends, write_segments
    from fairseq_budget.segmentation.intervals import interval_ends, table_spans, textgrid_spans
    from fairseq_budget.segmentation.wav2vecu import unit_ends


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "boundaries",
        help="take segments from elsewhere: TextGrids, wav2vec-U 2.0 units, or a table",
        description="Write {split}.seg from boundaries in time, each moved to the nearest frame.",
    )
    add_segmentation(parser)
    parser.add_argument("--split", required=True, help="which manifest")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--textgrid", metavar="DIR", type=Path, help="TextGrids, found by path or name of the audio"
    )
    source.add_argument(
        "--table", metavar="TSV", type=Path, help="utterance_id start_s end_s phone, with header"
    )
    source.add_argument(
        "--units", metavar="FILE", type=Path, help="a line of units per utterance; needs --vad"
    )
    parser.add_argument("--tier", default="phones", help="of the TextGrids (default: phones)")
    parser.add_argument(
        "--vad", metavar="FILE", type=Path, help="a line of speech `start:end` per utterance"
    )
    parser.add_argument(
        "--unit-rate-ms", metavar="MS", type=positive, default=60, help="per unit (default: 60)"
    )
    parser.set_defaults(run=_boundaries)


def _boundaries(args: argparse.Namespace) -> int:
    if (args.units is None) != (args.vad is None):
        raise BudgetError("--units and --vad go together; give both")
    corpus = read_text(args.data / f"{args.split}.tsv")
    kind, ends = _external_ends(args, corpus)
    write_segments(corpus.path, (row.tolist() for row in ends), kind=kind, name=args.name)
    return print_segments(args, (args.split,))


def _external_ends(args: argparse.Namespace, corpus: Corpus) -> tuple[str, Iterator[Ends]]:
    if args.textgrid:
        return "textgrid", interval_ends(corpus, textgrid_spans(args.textgrid, args.tier))
    if args.table:
        return "table", interval_ends(corpus, table_spans(args.table))
    if args.unit_rate_ms <= 0:
        raise BudgetError(f"--unit-rate-ms {args.unit_rate_ms:g}: expected 60, or more than 0")
    return "wav2vecu", unit_ends(corpus, args.units, args.vad, args.unit_rate_ms / 1000)
