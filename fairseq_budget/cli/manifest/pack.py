"""``budget-manifest pack``: splits in the form that millions of utterances are trained from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from fairseq_budget import frames
from fairseq_budget.cli import Commands
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.manifest.arguments import add_splits
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.corpus.packed import Packed, pack_path
    from fairseq_budget.corpus.packing import pack_split
    from fairseq_budget.prepare.imported import Imported, write_imported
    from fairseq_budget.prepare.kaldi_folder import read_kaldi
    from fairseq_budget.prepare.lhotse_cuts import read_lhotse


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "pack",
        help="pack millions of utterances into a file that opens at once",
        description="Write DIR/{split}.pack: the manifest and its columns (labels, transcripts) in "
        "one file that opens in milliseconds and is shared by all processes. Every line is checked "
        "once. Training takes it from then on; the same task.data names it.",
    )
    add_splits(parser)
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
    parser.set_defaults(run=_pack)


def _telling_of_clipped(rows: Iterable[Imported]) -> Iterator[Imported]:
    num_clipped = 0
    for row in rows:
        num_clipped += row.is_clipped
        yield row
    if num_clipped:
        print(f"{num_clipped} cuts ended after their recording, and end with it", file=sys.stderr)


def _pack(args: argparse.Namespace) -> int:
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
        packed = Packed(path)
        if args.check:
            packed.pack.check()
        columns = ", ".join(packed.pack.header.columns) or "no columns"
        hours = frames.hours(packed.num_samples)
        print(f"{path}: {len(packed.lines):,} utterances, {hours:,.2f} hours, {columns}")
    return 0
