"""``budget-labels segment``: segments by smoothed codes of the fitted model."""

from __future__ import annotations

import argparse
import sys

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import seed
from fairseq_budget.cli.labels.arguments import add_feature_arguments, feature_of, splits_of
from fairseq_budget.cli.labels.segment_outcome import add_segmentation, print_segments
from fairseq_budget.cli.later import imported_later
from fairseq_budget.corpus.column_kinds import LABELS, model_path

with imported_later():
    from fairseq_budget.corpus.plain import read_text
    from fairseq_budget.labels.kmeans import KMeans
    from fairseq_budget.labels.parts import Workers
    from fairseq_budget.segmentation.segmenting import Segment, find_penalty


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "segment",
        help="cut the splits into segments, by smoothed codes of the fitted model",
        description="Write {split}.seg: the segmentation with the least squared distance of frames "
        "to the centroid of their segment, plus a penalty per segment. It needs a fitted model "
        "(`fit` or `make`), and the feature that it was fitted on.",
    )
    add_segmentation(parser)
    penalty = parser.add_mutually_exclusive_group(required=True)
    penalty.add_argument(
        "--penalty", metavar="P", type=float, help="per segment, in squared distances; from 0"
    )
    penalty.add_argument(
        "--target-rate", metavar="HZ", type=float, help="find the penalty for HZ segments a second"
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        help="draws the 10 minutes that it is found on (default: 0)",
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
    parser.set_defaults(run=_segment)


def _segment(args: argparse.Namespace) -> int:
    splits = splits_of(args)
    KMeans.load(model_path(args.data, args.labels))  # before the checkpoint, which takes longer
    feature, penalty, found = feature_of(args), args.penalty, {}
    if penalty is None:
        searched = read_text(args.data / f"{'train' if 'train' in splits else splits[0]}.tsv")
        penalty, rate = find_penalty(
            searched, feature, args.target_rate, seed=args.seed, labels=args.labels
        )
        found = {"sample_rate_hz": rate}
        print(f"penalty {penalty:g}: {rate:.2f} segments per second of a sample", file=sys.stderr)
    with Workers(args.workers, feature.parts_per_worker) as workers:
        Segment(args.data, feature, splits, penalty, args.name, args.labels).run(workers)
    return print_segments(args, splits, penalty=penalty, **found)
