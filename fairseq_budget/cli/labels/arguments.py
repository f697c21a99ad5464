"""Arguments that subcommands of ``budget-labels`` share."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from fairseq_budget.audio.bad_share import MAX_BAD_SHARE
from fairseq_budget.cli.arguments import (
    AUTO,
    add_workers,
    count,
    device,
    finite,
    seed,
    share,
)
from fairseq_budget.cli.later import imported_later
from fairseq_budget.corpus.column_kinds import LABELS
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.budget.timing import default_device
    from fairseq_budget.labels.features import Feature
    from fairseq_budget.labels.fitting import Fit
    from fairseq_budget.text.alignments import Alignments

DEFAULT_SAMPLE_FRAMES = 1_000_000


def add_feature_arguments(parser: argparse.ArgumentParser) -> None:
    """The feature of each utterance, the device, and the number of processes."""
    parser.add_argument(
        "--feature", choices=("mfcc",), help="39 MFCC at 100 Hz: the default without --checkpoint"
    )
    parser.add_argument(
        "--checkpoint", metavar="PATH", type=Path, help="exported folder or .pt: a layer at 50 Hz"
    )
    parser.add_argument(
        "--layer", metavar="N", type=int, help="which transformer layer's output, from 1"
    )
    parser.add_argument(
        "--device",
        type=_device,
        default=AUTO,
        help="of the checkpoint: cpu, cuda, ... (default: a GPU if any)",
    )
    add_workers(parser)


def _device(text: str) -> str:
    return text if text == AUTO else device(text)


def feature_of(args: argparse.Namespace) -> Feature:
    """The feature that the arguments of `add_feature_arguments` name."""
    if args.checkpoint is None:
        if args.layer is not None:
            raise BudgetError(f"--layer {args.layer} of which --checkpoint?")
        return Feature()
    if args.feature is not None:
        raise BudgetError("--feature mfcc and --checkpoint exclude each other; give one of them")
    if args.layer is None:
        raise BudgetError("--checkpoint needs --layer: the transformer layer to cluster, from 1")
    place = args.device
    if place == AUTO:
        place = default_device()
        if place == "cuda":  # the process' own
            place = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    return Feature(args.checkpoint.absolute(), args.layer, place)


def splits_of(args: argparse.Namespace) -> tuple[str, ...]:
    """``--splits``, or all manifests in the folder ``--data``."""
    names = args.splits or sorted(
        path.stem for path in args.data.glob("*.tsv") if not path.name.endswith(".rejected.tsv")
    )
    if not names:
        raise BudgetError(f"{args.data} holds no manifest; write one with budget-manifest")
    return tuple(dict.fromkeys(names))


def add_label_set(parser: argparse.ArgumentParser) -> None:
    """The folder and the label set, and how the outcome is printed."""
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="folder of the manifests"
    )
    parser.add_argument(
        "--name", metavar="NAME", default=LABELS,
        help="of the label set, {split}.NAME; a second iteration beside the first: km2 "
        f"(default: {LABELS})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the outcome as json")


def add_splits(parser: argparse.ArgumentParser) -> None:
    """The splits, and the phones that their labels are judged by."""
    parser.add_argument(
        "--splits", metavar="SPLIT", nargs="+", help="(default: every manifest in the folder)"
    )
    parser.add_argument(
        "--alignments", metavar="TSV", type=Path, help="phones in time, to measure purity and PNMI"
    )


def add_apply_arguments(parser: argparse.ArgumentParser) -> None:
    """Features to write, too, and the share of bad audio that stops the work."""
    parser.add_argument(
        "--dump-features", metavar="DIR", type=Path, help="write the features, too, as fairseq"
    )
    parser.add_argument(
        "--max-bad-share", metavar="X", type=share, default=MAX_BAD_SHARE,
        help="stop when more of a split's audio cannot be read; what cannot has no labels, and "
        "is bad audio to training (default: %(default)s)",
    )  # fmt: skip


def add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    """How many clusters, fitted on what."""
    parser.add_argument(
        "--clusters", metavar="K", type=count, required=True, help="100 or 500, say"
    )
    sample = parser.add_mutually_exclusive_group()
    sample.add_argument(
        "--sample-hours", metavar="H", type=finite, help="fit on at most H hours of audio"
    )
    sample.add_argument(
        "--sample-frames",
        metavar="N",
        type=count,
        help=f"fit on at most N frames, held in memory (default: {DEFAULT_SAMPLE_FRAMES:,})",
    )
    parser.add_argument("--fit-split", metavar="SPLIT", default="train", help="(default: train)")
    parser.add_argument("--seed", type=seed, default=0, help="draws the sample and the first "
                        "centroids (default: 0)")  # fmt: skip


def fit_of(args: argparse.Namespace, feature: Feature) -> Fit:
    """The fit that the arguments of `add_fit_arguments` name, announced if it is yet to be made."""
    num_frames = args.sample_frames or DEFAULT_SAMPLE_FRAMES
    if args.sample_hours is not None:
        num_frames = round(args.sample_hours * 3600 * feature.rate)
    if num_frames < 1:
        raise BudgetError(
            f"--sample-hours {args.sample_hours:g} are {num_frames} frames: expected a positive "
            f"sample, of {1 / 3600 / feature.rate:.1g} hours or more"
        )
    fit = Fit(args.data, feature, args.clusters, num_frames, args.fit_split, args.seed, args.name)
    if fit.fitted() is None:
        megabytes = fit.sample_bytes / 1e6
        print(
            f"fitting {fit.num_clusters} clusters on a sample of {megabytes:.0f} MB, held in "
            "memory, and for a while on disk",
            file=sys.stderr,
        )
    return fit


def alignments_of(args: argparse.Namespace) -> Alignments | None:
    return Alignments.read(args.alignments) if args.alignments else None
