"""``budget-manifest subset``: nested random subsets of a manifest, by hours."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import positive
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.manifest.arguments import add_files, alone_in, print_derived

with imported_later():
    from fairseq_budget.prepare.derive import subsets


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "subset",
        help="draw nested random subsets by hours",
        description="Write DESTDIR/{hours}h/, a folder to train on, for each number of hours: "
        "random utterances of the manifest with the lines of its columns (labels). Each subset "
        "contains the smaller ones.",
    )
    add_files(parser)
    parser.add_argument("--hours", metavar="H", type=positive, nargs="+", required=True)
    parser.add_argument(
        "--with",
        dest="others",
        metavar="SPLIT",
        nargs="*",
        help="splits beside the manifest that go along whole (default: valid, if there is one)",
    )
    parser.set_defaults(run=_subset)


def _subset(args: argparse.Namespace) -> None:
    others = _other_manifests(args)
    with alone_in(args.destdir):
        found = subsets(args.manifest, args.destdir, args.hours, seed=args.seed, others=others)
    print_derived(args, found)


def _other_manifests(args: argparse.Namespace) -> list[Path]:
    """The manifests that go along whole, that of the subset itself left out."""
    folder = args.manifest.parent
    names = args.others
    if names is None:
        names = ["valid"] if (folder / "valid.tsv").is_file() else []
    paths = [folder / f"{name}.tsv" for name in names]
    return [path for path in paths if path.name != args.manifest.name]
