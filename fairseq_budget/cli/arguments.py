"""Types of numbers on the command line, for argparse."""

from __future__ import annotations

import argparse
import math
import os

from fairseq_budget.cli.later import imported_later
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import RECEPTIVE_FIELD, SAMPLE_RATE

with imported_later():
    from fairseq_budget.budget.timing import default_device, require_device

AUTO = "auto"  # a device: the GPU, if there is any
DAY_S = 86_400
MAX_SEED = (1 << 30) - 1  # what every generator takes, multiplied by a few, too


def positive(text: str) -> float:
    """A finite number above zero."""
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return float(text)


def count(text: str) -> int:
    """A whole number above zero."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no positive number; the least is 1")
    return int(text)


def whole(text: str) -> int:
    """A whole number from 0."""
    if int(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 0")
    return int(text)


def seed(text: str) -> int:
    """A seed that every generator takes, and its small multiples, too."""
    if not 0 <= int(text) <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 0 to {MAX_SEED:,}")
    return int(text)


def seconds(text: str) -> float:
    """A duration of at least one sample."""
    if not 1 / SAMPLE_RATE <= float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no duration of at least one sample")
    return float(text)


def sequence_seconds(text: str) -> float:
    """A length of training sequences: at least one frame, and no more than a day."""
    if not RECEPTIVE_FIELD / SAMPLE_RATE <= float(text) <= DAY_S:
        raise argparse.ArgumentTypeError(
            f"{text} is no length of at least 0.025 s, one frame, and at most {DAY_S} s, a day"
        )
    return float(text)


def finite(text: str) -> float:
    """A number that is one: neither NaN nor infinite."""
    if not math.isfinite(float(text)):
        raise argparse.ArgumentTypeError(f"{text} is no finite number")
    return float(text)


def not_negative(text: str) -> float:
    """A number from 0; infinity, as a limit, is one."""
    if not float(text) >= 0:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0")
    return float(text)


def share(text: str) -> float:
    """A share, from 0 to 1."""
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to 1")
    return float(text)


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", type=device, default=AUTO, help="cpu, cuda, ... (default: a GPU if any)"
    )


def device(text: str) -> str:
    """A device of this machine as torch names it, such as cpu, cuda or cuda:1; of auto the best."""
    if text == AUTO:
        return default_device()
    try:
        require_device(text)
    except BudgetError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add_workers(parser: argparse.ArgumentParser) -> None:
    """The number of processes, by default one for each core that this one may use."""
    parser.add_argument(
        "--workers",
        metavar="N",
        type=count,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        help="processes (default: CPUs)",
    )
