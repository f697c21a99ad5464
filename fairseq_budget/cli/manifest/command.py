"""``budget-manifest``: folders of audio become manifests, and manifests others.

Named and used in the manner of ``fairseq-preprocess``. Flags alone write manifests; a subcommand
derives one manifest from another.
"""

from __future__ import annotations

import argparse

from fairseq_budget.cli import run, user_errors
from fairseq_budget.cli.manifest import cut, hash, pack, subset, write


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-manifest",
        description="Write the manifests {destdir}/{train,valid,test}.tsv of folders of audio.",
    )
    write.add_arguments(parser)
    commands = parser.add_subparsers(
        title="subcommands, on manifests that are there", metavar="COMMAND"
    )
    for subcommand in (cut, subset, pack, hash):
        subcommand.add(commands)
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    return run(build_parser(), argv)
