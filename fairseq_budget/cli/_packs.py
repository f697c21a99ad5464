"""``budget-manifest pack``: splits in the form that millions of utterances are trained from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.imports import Imported, read_lhotse, write_imported
from fairseq_budget.imports_kaldi import read_kaldi
from fairseq_budget.packed import PackedCorpus, pack_path
from fairseq_budget.packing import pack_split


def build_pack_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-manifest pack",
        description="Write DIR/{split}.pack: the manifest and its columns (labels, transcripts) in "
        "one file that opens in milliseconds and is shared by all processes. Every line is checked "
        "once. Training takes it from then on; the same task.data names it.",
    )
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="of the manifests")
    parser.add_argument("--splits", metavar="SPLIT", nargs="+", default=["train", "valid"])
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--lhotse", metavar="CUTS", type=Path, help="first write the manifest of a cuts.jsonl[.gz]"
    )
    source.add_argument(
        "--kaldi", metavar="DIR", type=Path, help="first write the manifest of a wav.scp, segments"
    )
    source.add_argument(
        "--check", action="store_true", help="read packs that are there, to find damage"
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="what relative paths of --lhotse or --kaldi are relative to (default: this folder)",
    )
    parser.add_argument(
        "--kmeans",
        metavar="K",
        type=int,
        help="with --lhotse: take the labels of K clusters, at 50 Hz, that k2SSL's cuts hold in "
        "custom['kmeans']",
    )
    return parser


def _telling_of_clipped(rows: Iterable[Imported]) -> Iterator[Imported]:
    num_clipped = 0
    for row in rows:
        num_clipped += row.is_clipped
        yield row
    if num_clipped:
        print(f"{num_clipped} cuts ended after their recording, and end with it", file=sys.stderr)


def run_pack(argv: Sequence[str]) -> int:
    args = build_pack_parser().parse_args(argv)
    if (args.lhotse or args.kaldi) and len(args.splits) != 1:
        raise BudgetError("--lhotse and --kaldi make one split: name it, as --splits train")
    if args.kmeans is not None and not (args.lhotse and args.kmeans > 1):
        raise BudgetError(f"--kmeans {args.kmeans}: expected at least 2 clusters, and --lhotse")
    for split in args.splits:
        manifest = args.data / f"{split}.tsv"
        if args.lhotse or args.kaldi:
            root = args.root.absolute()
            rows = read_lhotse(args.lhotse, root) if args.lhotse else read_kaldi(args.kaldi, root)
            told = _telling_of_clipped(rows)
            write_imported(manifest, told, root=root, num_clusters=args.kmeans)
        path = pack_path(manifest) if args.check else pack_split(manifest)
        corpus = PackedCorpus(path)
        if args.check:
            corpus.pack.check()
        columns = ", ".join(corpus.pack.header["columns"]) or "no columns"
        hours = corpus.num_samples / SAMPLE_RATE / 3600
        print(f"{path}: {len(corpus):,} utterances, {hours:,.2f} hours, {columns}")
    return 0
