"""Types of numbers on the command line, for argparse."""

from __future__ import annotations

import argparse


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
