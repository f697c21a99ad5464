"""Arguments that subcommands of ``budget-plan`` share."""

from __future__ import annotations

import argparse

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.cli.arguments import count, sequence_seconds
from fairseq_budget.cli.rows import add_json
from fairseq_budget.errors import BudgetError
from fairseq_budget.papers.compute_budget import MASK_PROB, NUM_CLASSES
from fairseq_budget.sizes import SIZES

NAMES = "tiny:2 has twice the layers' parameters, slim,frontend=logmel another field of the model"


def encoder_name(text: str) -> str:
    """The name of an encoder, as `find_encoder` reads it."""
    try:
        find_encoder(text)
    except BudgetError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--objective", nargs="+", choices=list(MASK_PROB), default=["tera"], metavar="O",
        help=f"one or more of {', '.join(MASK_PROB)} (default: tera)",
    )  # fmt: skip
    parser.add_argument(
        "--head", choices=["cosine", "linear"], default="cosine", help="HuBERT's (default: cosine)"
    )
    parser.add_argument(
        "--num-classes", type=count, default=NUM_CLASSES, metavar="N",
        help="HuBERT's clusters + 4 (default: %(default)s)",
    )  # fmt: skip
    add_sizes(parser)


def add_sizes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size", nargs="+", type=encoder_name, default=list(SIZES), metavar="SIZE",
        help=f"sizes to list (default: all): {', '.join(SIZES)}; {NAMES}",
    )  # fmt: skip
    add_json(parser)


def add_sequence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sequence-seconds", type=sequence_seconds, default=14.0, metavar="S",
        help="length of a training sequence (default: %(default)s, the paper's mean)",
    )  # fmt: skip


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size", type=encoder_name, default="base", metavar="SIZE",
        help=f"{', '.join(SIZES)}; {NAMES} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--objective", choices=list(MASK_PROB), default="wav2vec2", help="(default: %(default)s)"
    )


def add_gpus(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gpus", type=count, default=1, metavar="N", help="GPUs of an update (default: 1)"
    )
