"""``budget-report features``: layers of a checkpoint over a corpus, for a model of one's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fairseq_budget.audio.bad_share import MAX_BAD_SHARE, listed
from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import (
    add_device,
    add_workers,
    count,
    not_negative,
    seconds,
    share,
    whole,
)
from fairseq_budget.cli.later import imported_later

with imported_later():
    from fairseq_budget.corpus.plain import read_text
    from fairseq_budget.labels.layers import Dump, Layers
    from fairseq_budget.labels.parts import Workers
    from fairseq_budget.pretrained import read_pretrained

ALL = "all"


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "features",
        help="hidden states of a corpus on disk, for a model of your own",
        description="Write OUT/layer_N/SPLIT_0_1.npy, the frames of all utterances one after the "
        "other, 50 a second, with their numbers in .len (as fairseq's dump_hubert_feature.py) and "
        "with their ids in .tsv; or OUT/SPLIT_0_1.h5. The same command goes on where it was "
        "stopped.",
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="exported folder or .pt")
    parser.add_argument("--manifest", type=Path, required=True, metavar="TSV")
    parser.add_argument(
        "--layers", type=_layers, required=True, metavar="N[,N...]",
        help="6, or 6,9, or all: from 1; 0 is what the first layer hears",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--format",
        choices=("npy", "hdf5"),
        default="npy",
        help="hdf5 needs h5py (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype", choices=("float32", "float16"), default="float32", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--window-seconds", type=seconds, default=30.0, metavar="S",
        help="longer utterances are heard in windows of S seconds (default: 30)",
    )  # fmt: skip
    parser.add_argument(
        "--overlap-seconds", type=not_negative, default=4.0, metavar="S",
        help="that neighbouring windows share (default: 4)",
    )  # fmt: skip
    parser.add_argument(
        "--max-tokens", type=count, default=480_000, metavar="N",
        help="samples that are heard together, of like lengths (default: 480000, 30 s)",
    )  # fmt: skip
    parser.add_argument(
        "--num-shards", type=count, default=1, metavar="N", help="machines that share the work"
    )
    parser.add_argument("--shard", type=whole, default=0, metavar="I", help="this one, from 0")
    parser.add_argument(
        "--max-bad-share", type=share, default=MAX_BAD_SHARE, metavar="X",
        help="stop when more of the audio cannot be read; what cannot has no frames "
        "(default: %(default)s)",
    )  # fmt: skip
    add_device(parser)
    add_workers(parser)
    parser.set_defaults(run=_features)


def _layers(text: str) -> tuple[int, ...]:
    """Numbers in their order, each once; () for all."""
    return () if text == ALL else tuple(sorted({whole(part) for part in text.split(",")}))


def _features(args: argparse.Namespace) -> int:
    layers = args.layers or _all_layers(args.checkpoint)
    feature = Layers(
        args.checkpoint.absolute(), device=args.device, layers=layers, batch_samples=args.max_tokens
    )
    dump = Dump(
        read_text(args.manifest),
        feature,
        args.window_seconds,
        args.overlap_seconds,
        args.dtype,
        args.num_shards,
        args.shard,
        args.max_bad_share,
    )
    with Workers(args.workers, feature.parts_per_worker) as workers:
        paths, unheard = dump.write(args.out.absolute(), args.format, workers)
    if unheard:
        print(f"{len(unheard)} without frames:{listed(unheard.values())}", file=sys.stderr)
    print(*paths, sep="\n")
    return 0


def _all_layers(checkpoint: Path) -> tuple[int, ...]:
    encoder = read_pretrained(checkpoint).build_encoder()
    return tuple(range(encoder.encoder.num_layers + 1))
