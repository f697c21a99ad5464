"""Types of numbers on the command line, for argparse."""

from __future__ import annotations

import argparse

from fairseq_budget.frames import RECEPTIVE_FIELD, SAMPLE_RATE


def positive(text: str) -> float:
    """A finite number above zero."""
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return float(text)


def count(text: str) -> int:
    """A whole number above zero."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return int(text)


def seconds(text: str) -> float:
    """A duration of at least one sample."""
    if not 1 / SAMPLE_RATE <= float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no duration of at least one sample")
    return float(text)


def sequence_seconds(text: str) -> float:
    """A length of training sequences: at least one frame."""
    if not RECEPTIVE_FIELD / SAMPLE_RATE <= float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no length of at least 0.025 s, one frame")
    return float(text)
