"""Arguments that several subcommands of ``budget-labels`` share: features, processes, splits."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.features import Feature


def add_feature_arguments(parser: argparse.ArgumentParser) -> None:
    """What is computed of each utterance, where, and by how many processes."""
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
        "--device", default="auto", help="of the checkpoint: cpu, cuda, ... (default: a GPU if any)"
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        help="processes (default: CPUs)",
    )


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
    device = args.device
    if device == "auto":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    return Feature(args.checkpoint.absolute(), args.layer, device)


def splits_of(args: argparse.Namespace) -> tuple[str, ...]:
    """``--splits``, or all manifests in the folder ``--data``."""
    names = args.splits or sorted(
        path.stem for path in args.data.glob("*.tsv") if not path.name.endswith(".rejected.tsv")
    )
    if not names:
        raise BudgetError(f"{args.data} holds no manifest; write one with budget-manifest")
    return tuple(dict.fromkeys(names))
