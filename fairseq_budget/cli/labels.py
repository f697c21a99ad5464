"""``budget-labels``: from manifests to the k-means labels that HuBERT predicts, and segments."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairseq_budget.audio.bad_share import MAX_BAD_SHARE, NUM_SHOWN
from fairseq_budget.cli import user_errors
from fairseq_budget.cli._features import add_feature_arguments, feature_of, splits_of
from fairseq_budget.cli._segment_labels import add_segmentations
from fairseq_budget.column_kinds import LABELS, model_path
from fairseq_budget.corpus import Corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.alignments import Alignments
from fairseq_budget.labels.features import Feature
from fairseq_budget.labels.fitting import Fit
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.label_file import find_unheard, open_labels, read_info
from fairseq_budget.labels.labelling import Apply, refuse_mixed_centroids
from fairseq_budget.labels.parts import Workers
from fairseq_budget.labels.quality import count_split, verdict
from fairseq_budget.labels.shards import dump_features
from fairseq_budget.progress import Progress
from fairseq_budget.table import markdown_table

DEFAULT_SAMPLE_FRAMES = 1_000_000
_SHARD_VARIABLES = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ("RANK", "WORLD_SIZE", ""),
)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-labels",
        description="Cluster the frames of the audio and write fairseq's label files beside the "
        "manifests: {split}.km, dict.km.txt, and labels.json, which says what they mean. Or cut it "
        "into segments: {split}.seg. Every step goes on where it was stopped when the same command "
        "is started again.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    make = commands.add_parser("make", help="fit, apply and check, all in one")
    fit = commands.add_parser("fit", help="fit k-means on a sample of frames")
    apply = commands.add_parser("apply", help="label the splits with the fitted model")
    check = commands.add_parser("check", help="check every label, and say what they are worth")
    runs = {make: _make, fit: _fit, apply: _apply, check: _check}
    for command, run in runs.items():
        command.set_defaults(run=run)
        command.add_argument(
            "--data", metavar="DIR", type=Path, required=True, help="folder of the manifests"
        )
        command.add_argument(
            "--name", metavar="NAME", default=LABELS,
            help="of the label set, {split}.NAME; a second iteration beside the first: km2 "
            f"(default: {LABELS})",
        )  # fmt: skip
        command.add_argument("--json", action="store_true", help="print the outcome as json")
    for command in (make, fit):
        _add_fit_arguments(command)
    for command in (make, fit, apply):
        add_feature_arguments(command)
    for command in (make, apply, check):
        _add_split_arguments(command)
    for command in (make, apply):
        command.add_argument(
            "--dump-features", metavar="DIR", type=Path, help="write the features, too, as fairseq"
        )
        command.add_argument(
            "--max-bad-share", metavar="X", type=float, default=MAX_BAD_SHARE,
            help="stop when more of a split's audio cannot be read; what cannot has no labels, and "
            "is bad audio to training (default: %(default)s)",
        )  # fmt: skip
    apply.add_argument(
        "--num-shards", metavar="N", type=int, help="divide the work among N machines"
    )
    apply.add_argument(
        "--shard",
        metavar="I",
        help="the share of this one, from 0; 'auto' takes both numbers from SLURM_ARRAY_TASK_ID "
        "and _COUNT, else from torchrun's RANK and WORLD_SIZE",
    )
    add_segmentations(commands)
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    args.data = args.data.absolute()
    return int(args.run(args))


def _add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clusters", metavar="K", type=int, required=True, help="100 or 500, say")
    sample = parser.add_mutually_exclusive_group()
    sample.add_argument(
        "--sample-hours", metavar="H", type=float, help="fit on at most H hours of audio"
    )
    sample.add_argument(
        "--sample-frames",
        metavar="N",
        type=int,
        help=f"fit on at most N frames, held in memory (default: {DEFAULT_SAMPLE_FRAMES:,})",
    )
    parser.add_argument("--fit-split", metavar="SPLIT", default="train", help="(default: train)")
    parser.add_argument("--seed", type=int, default=0, help="draws the sample and the first "
                        "centroids (default: 0)")  # fmt: skip


def _add_split_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--splits", metavar="SPLIT", nargs="+", help="(default: every manifest in the folder)"
    )
    parser.add_argument(
        "--alignments", metavar="TSV", type=Path, help="phones in time, to measure purity and PNMI"
    )


def _make(args: argparse.Namespace) -> int:
    feature, splits, started = feature_of(args), splits_of(args), time.monotonic()
    alignments = _alignments(args)
    fit = _fit_of(args, feature)
    model = fit.fitted()
    refuse_mixed_centroids(args.data, splits, model.sha256 if model else None, args.name)
    with Workers(args.workers, feature.parts_per_worker) as workers:
        model = _run_fit(fit, workers)
        fitted = time.monotonic()
        Apply(args.data, feature, splits, 1, 0, args.name, args.max_bad_share).run(workers)
        applied = time.monotonic()
        _dump(args, feature, splits, workers)
    seconds = {"fit": round(fitted - started, 2), "apply": round(applied - fitted, 2)}
    return _report(args, splits, alignments, seconds=seconds)


def _fit(args: argparse.Namespace) -> int:
    feature = feature_of(args)
    with Workers(args.workers, feature.parts_per_worker) as workers:
        model = _run_fit(_fit_of(args, feature), workers)
    _print_model(args, model)
    return 0


def _apply(args: argparse.Namespace) -> int:
    splits, alignments = splits_of(args), _alignments(args)
    num_shards, shard = _shard(args)
    KMeans.load(model_path(args.data, args.name))  # before the checkpoint, which takes longer
    feature = feature_of(args)
    with Workers(args.workers, feature.parts_per_worker) as workers:
        shares = num_shards, shard
        task = Apply(args.data, feature, splits, *shares, args.name, args.max_bad_share)
        unfinished = task.run(workers)
        _dump(args, feature, splits, workers, num_shards=num_shards, shard=shard)
    if unfinished:
        print(
            f"shard {shard} of {num_shards} is done; the last shard to finish will join "
            f"{', '.join(unfinished)}"
        )
        return 0
    return _report(args, splits, alignments)


def _check(args: argparse.Namespace) -> int:
    manifests = sorted(args.data.glob("*.tsv"))
    labelled = [path.stem for path in manifests if path.with_suffix(f".{args.name}").exists()]
    splits = args.splits or labelled
    if not splits:
        raise BudgetError(
            f"{args.data} holds no labels {args.name}; make them with `budget-labels make --data "
            f"{args.data} --name {args.name}`"
        )
    return _report(args, tuple(splits), _alignments(args))


def _fit_of(args: argparse.Namespace, feature: Feature) -> Fit:
    num_frames = args.sample_frames or DEFAULT_SAMPLE_FRAMES
    if args.sample_hours is not None:
        num_frames = round(args.sample_hours * 3600 * feature.rate)
    if num_frames < 1 or args.seed < 0 or args.workers < 1:
        raise BudgetError(
            f"a sample of {num_frames} frames, --seed {args.seed}, --workers {args.workers}: "
            "expected a positive sample and number of workers, and a seed of 0 or more"
        )
    return Fit(args.data, feature, args.clusters, num_frames, args.fit_split, args.seed, args.name)


def _run_fit(fit: Fit, workers: Workers) -> KMeans:
    if fit.fitted() is None:
        megabytes = fit.sample_bytes / 1e6
        print(
            f"fitting {fit.num_clusters} clusters on a sample of {megabytes:.0f} MB, held in "
            "memory, and for a while on disk",
            file=sys.stderr,
        )
    return fit.run(workers)


def _shard(args: argparse.Namespace) -> tuple[int, int]:
    """Number of shards, and which one this is."""
    if args.shard == "auto":
        for index, count, first in _SHARD_VARIABLES:
            if index in os.environ and count in os.environ:
                shard = int(os.environ[index]) - int(os.environ.get(first, 0))
                return int(os.environ[count]), shard
        raise BudgetError(
            "--shard auto: neither SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT nor RANK and "
            "WORLD_SIZE are set; give --num-shards and --shard"
        )
    if (args.shard is None) != (args.num_shards is None):
        raise BudgetError("--num-shards and --shard go together; give both, or --shard auto")
    if args.shard is None:
        return 1, 0
    if not args.shard.isdigit() or not int(args.shard) < args.num_shards:
        raise BudgetError(
            f"--shard {args.shard} of --num-shards {args.num_shards}: expected 0 to "
            f"{args.num_shards - 1}, or auto"
        )
    return args.num_shards, int(args.shard)


def _alignments(args: argparse.Namespace) -> Alignments | None:
    return Alignments.read(args.alignments) if args.alignments else None


def _dump(
    args: argparse.Namespace,
    feature: Feature,
    splits: Sequence[str],
    workers: Workers,
    **shards: int,
) -> None:
    for split in splits if args.dump_features else ():
        corpus = Corpus.open(args.data / f"{split}.tsv")
        dump_features(corpus, feature, args.dump_features.absolute(), workers, **shards)


def _report(
    args: argparse.Namespace,
    splits: Sequence[str],
    alignments: Alignments | None,
    **more: Any,
) -> int:
    """Check every label of the splits and print what they are worth."""
    summaries = {}
    for split in splits:
        corpus = Corpus.open(args.data / f"{split}.tsv")
        labels = open_labels(args.data, split, args.name, corpus=corpus)
        lines = Progress(range(len(labels)), desc=f"{split}: check", unit="utterance")
        summaries[split] = count_split(labels, corpus, lines, alignments).summary()
        unheard = find_unheard(corpus, labels.column.is_empty)
        summaries[split]["num_without_labels"] = len(unheard)
        _print_unheard(split, corpus, unheard)
    findings = {split: verdict(summary) for split, summary in summaries.items()}
    if args.json:
        outcome = {
            "labels": asdict(read_info(args.data, args.name)),
            "splits": summaries,
            "findings": findings,
            **more,
        }
        print(json.dumps(outcome, indent=2))
        return 0
    print(markdown_table([_row(split, summary) for split, summary in summaries.items()]))
    for split, found in findings.items():
        print(f"{split}: {'; '.join(found) or 'good'}")
    return 0


def _print_unheard(split: str, corpus: Corpus, unheard: dict[int, str]) -> None:
    for index in list(unheard)[:NUM_SHOWN]:
        reason = unheard[index] or f"{corpus.name(index)}: can be read by now; make them again"
        print(f"{split}: without labels: {reason}", file=sys.stderr)
    if unheard:
        print(f"{split}: {len(unheard)} of {len(corpus)} are without labels", file=sys.stderr)


def _row(split: str, summary: dict[str, float]) -> dict[str, str]:
    row = {
        "split": split,
        "utterances": f"{summary['num_utterances']:,}",
        "frames": f"{summary['num_frames']:,}",
        "hours": f"{summary['hours']:.2f}",
        "clusters (empty)": f"{summary['num_clusters']} ({summary['num_empty_clusters']})",
        "entropy (bits)": f"{summary['entropy_bits']:.2f}",
        "perplexity": f"{summary['perplexity']:.1f}",
        "mean run (ms)": f"{summary['mean_run_ms']:.0f}",
    }
    if "pnmi" in summary:
        row |= {
            "phone purity": f"{summary['phone_purity']:.3f}",
            "cluster purity": f"{summary['cluster_purity']:.3f}",
            "PNMI": f"{summary['pnmi']:.3f}",
        }
    return row


def _print_model(args: argparse.Namespace, model: KMeans) -> None:
    outcome = {
        "model": str(model_path(args.data, args.name)),
        "centroids_sha256": model.sha256,
        **model.description,
    }
    if args.json:
        print(json.dumps(outcome, indent=2))
        return
    print(
        f"{outcome['model']}: {model.description['num_clusters']} clusters of "
        f"{model.description['feature']['kind']}, fitted on "
        f"{model.description['num_frames_fitted']:,} frames, inertia "
        f"{model.description['inertia']:.2f}; next: budget-labels apply --data {args.data}"
    )
