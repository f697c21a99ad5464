"""``budget-asr``: transcripts for fine-tuning, decoding, averages."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import add_subcommands, run, user_errors
from fairseq_budget.cli.asr import average, decode, prepare


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-asr",
        description="Transcripts for fine-tuning, decoding with word errors, averages.",
    )
    add_subcommands(parser, (prepare, decode, average))
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    return run(build_parser(), argv)
