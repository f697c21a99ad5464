"""``budget-labels``: from manifests to the k-means labels that HuBERT predicts, and segments."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import add_subcommands, user_errors
from fairseq_budget.cli.labels import apply, boundaries, check, fit, make, segment


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-labels",
        description="Cluster the frames of the audio and write fairseq's label files beside the "
        "manifests: {split}.km, dict.km.txt, and labels.json, which says what they mean. Or cut it "
        "into segments: {split}.seg. Every step goes on where it was stopped when the same command "
        "is started again.",
    )
    add_subcommands(parser, (make, fit, apply, check, segment, boundaries))
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    args.data = args.data.absolute()
    return int(args.run(args))
