"""``budget-labels segment`` and ``budget-labels boundaries``: segmentations beside manifests."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fairseq_budget.cli._features import add_feature_arguments, feature_of, splits_of
from fairseq_budget.column_kinds import LABELS, model_path
from fairseq_budget.corpus import Corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.labels.boundary_sources import interval_ends, table_spans, textgrid_spans
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.parts import Workers
from fairseq_budget.labels.segmenting import Segment, find_penalty
from fairseq_budget.labels.segments import NAME, Ends, Segmentation, open_segments, write_segments
from fairseq_budget.labels.wav2vecu import unit_ends
from fairseq_budget.progress import Progress
from fairseq_budget.table import markdown_table


def add_segmentations(commands: Any) -> None:
    """Add both subcommands to the subparsers of ``budget-labels``."""
    segment = commands.add_parser(
        "segment",
        help="cut the splits into segments, by smoothed codes of the fitted model",
        description="Write {split}.seg: the segmentation with the least squared distance of frames "
        "to the centroid of their segment, plus a penalty per segment. It needs a fitted model "
        "(`fit` or `make`), and the feature that it was fitted on.",
    )
    boundaries = commands.add_parser(
        "boundaries",
        help="take segments from elsewhere: TextGrids, wav2vec-U 2.0 units, or a table",
        description="Write {split}.seg from boundaries in time, each moved to the nearest frame.",
    )
    for command in (segment, boundaries):
        command.add_argument(
            "--data", metavar="DIR", type=Path, required=True, help="folder of the manifests"
        )
        command.add_argument("--name", default=NAME, help=f"write {{split}}.NAME (default: {NAME})")
        command.add_argument("--json", action="store_true", help="print the outcome as json")
    _add_segment_arguments(segment)
    _add_boundary_arguments(boundaries)
    segment.set_defaults(run=_segment)
    boundaries.set_defaults(run=_boundaries)


def _add_segment_arguments(parser: argparse.ArgumentParser) -> None:
    penalty = parser.add_mutually_exclusive_group(required=True)
    penalty.add_argument(
        "--penalty", metavar="P", type=float, help="per segment, in squared distances; from 0"
    )
    penalty.add_argument(
        "--target-rate", metavar="HZ", type=float, help="find the penalty for HZ segments a second"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="draws the 10 minutes that it is found on (default: 0)"
    )
    parser.add_argument(
        "--splits", metavar="SPLIT", nargs="+", help="(default: every manifest in the folder); the "
        "penalty is found on train, if it is among them, else on the first"
    )  # fmt: skip
    parser.add_argument(
        "--labels", metavar="NAME", default=LABELS,
        help=f"the label set whose centroids are taken (default: {LABELS})",
    )  # fmt: skip
    add_feature_arguments(parser)


def _add_boundary_arguments(parser: argparse.ArgumentParser) -> None:
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
        "--unit-rate-ms", metavar="MS", type=float, default=60, help="per unit (default: 60)"
    )


def _segment(args: argparse.Namespace) -> int:
    splits = splits_of(args)
    KMeans.load(model_path(args.data, args.labels))  # before the checkpoint, which takes longer
    if args.seed < 0 or args.workers < 1:
        raise BudgetError(
            f"--seed {args.seed}, --workers {args.workers}: expected a seed of 0 or more, and a "
            "positive number of workers"
        )
    feature, penalty, found = feature_of(args), args.penalty, {}
    if penalty is None:
        searched = Corpus.open(args.data / f"{'train' if 'train' in splits else splits[0]}.tsv")
        penalty, rate = find_penalty(
            searched, feature, args.target_rate, seed=args.seed, labels=args.labels
        )
        found = {"sample_rate_hz": rate}
        print(f"penalty {penalty:g}: {rate:.2f} segments per second of a sample", file=sys.stderr)
    with Workers(args.workers, feature.parts_per_worker) as workers:
        Segment(args.data, feature, splits, penalty, args.name, args.labels).run(workers)
    return _report(args, splits, penalty=penalty, **found)


def _boundaries(args: argparse.Namespace) -> int:
    if (args.units is None) != (args.vad is None):
        raise BudgetError("--units and --vad go together; give both")
    corpus = Corpus.open(args.data / f"{args.split}.tsv")
    kind, ends = _external_ends(args, corpus)
    write_segments(corpus.path, (row.tolist() for row in ends), kind=kind, name=args.name)
    return _report(args, (args.split,))


def _external_ends(args: argparse.Namespace, corpus: Corpus) -> tuple[str, Iterator[Ends]]:
    if args.textgrid:
        return "textgrid", interval_ends(corpus, textgrid_spans(args.textgrid, args.tier))
    if args.table:
        return "table", interval_ends(corpus, table_spans(args.table))
    if args.unit_rate_ms <= 0:
        raise BudgetError(f"--unit-rate-ms {args.unit_rate_ms:g}: expected 60, or more than 0")
    return "wav2vecu", unit_ends(corpus, args.units, args.vad, args.unit_rate_ms / 1000)


def _report(args: argparse.Namespace, splits: Sequence[str], **more: float) -> int:
    """Read every line again, and print what is in it."""
    rows = {}
    for split in splits:  # from the text: a pack beside it may be older
        corpus = Corpus.open(args.data / f"{split}.tsv")
        rows[split] = _count(open_segments(args.data, split, args.name, corpus=corpus))
    if args.json:
        print(json.dumps({"splits": rows, **more}, indent=2))
    else:
        shown = [{"split": split, **_shown(row)} for split, row in rows.items()]
        print(markdown_table(shown))
    return 0


def _count(segments: Segmentation) -> dict[str, float]:
    name = f"{segments.split}: check"
    indices = Progress(range(len(segments)), name, unit="utterance")
    num_segments = sum(len(segments.ends(index)) for index in indices)
    num_frames = int(segments.num_frames.sum())
    return {
        "num_utterances": len(segments),
        "num_frames": num_frames,
        "num_segments": num_segments,
        "rate_hz": FRAME_RATE_HZ * num_segments / max(num_frames, 1),
    }


def _shown(row: dict[str, float]) -> dict[str, str]:
    return {
        "utterances": f"{row['num_utterances']:,}",
        "frames": f"{row['num_frames']:,}",
        "segments": f"{row['num_segments']:,}",
        "segments per second": f"{row['rate_hz']:.2f}",
        "mean segment (ms)": f"{1000 / row['rate_hz']:.0f}" if row["rate_hz"] else "-",
    }
