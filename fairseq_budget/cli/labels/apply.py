"""``budget-labels apply``: the splits labelled with the fitted model, by one machine or many."""

from __future__ import annotations

import argparse
import os

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import count
from fairseq_budget.cli.labels.arguments import (
    add_apply_arguments,
    add_feature_arguments,
    add_label_set,
    add_splits,
    alignments_of,
    feature_of,
    splits_of,
)
from fairseq_budget.cli.labels.outcome import print_outcome
from fairseq_budget.cli.later import imported_later
from fairseq_budget.corpus.column_kinds import model_path
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.labels.kmeans import KMeans
    from fairseq_budget.labels.labelling import Apply
    from fairseq_budget.labels.make import apply_labels
    from fairseq_budget.labels.parts import Workers

_SHARD_VARIABLES = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ("RANK", "WORLD_SIZE", ""),
)


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("apply", help="label the splits with the fitted model")
    add_label_set(parser)
    add_feature_arguments(parser)
    add_splits(parser)
    add_apply_arguments(parser)
    parser.add_argument(
        "--num-shards", metavar="N", type=count, help="divide the work among N machines"
    )
    parser.add_argument(
        "--shard",
        metavar="I",
        help="the share of this one, from 0; 'auto' takes both numbers from SLURM_ARRAY_TASK_ID "
        "and _COUNT, else from torchrun's RANK and WORLD_SIZE",
    )
    parser.set_defaults(run=_apply)


def _apply(args: argparse.Namespace) -> int:
    splits, alignments = splits_of(args), alignments_of(args)
    num_shards, shard = _shard(args)
    KMeans.load(model_path(args.data, args.name))  # before the checkpoint, which takes longer
    feature = feature_of(args)
    with Workers(args.workers, feature.parts_per_worker) as workers:
        shares = num_shards, shard
        apply = Apply(args.data, feature, splits, *shares, args.name, args.max_bad_share)
        unfinished = apply_labels(apply, workers, args.dump_features)
    if unfinished:
        print(
            f"shard {shard} of {num_shards} is done; the last shard to finish will join "
            f"{', '.join(unfinished)}"
        )
        return 0
    return print_outcome(args, splits, alignments)


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
