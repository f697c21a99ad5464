"""The checks of gpu_card.py, in the order in which they run."""

from gpu_checks import ground, losses, commands, training, times, waits, speed  # noqa: F401, I001
from gpu_checks.registry import CHECKS, Options, Skipped

__all__ = ["CHECKS", "Options", "Skipped"]
