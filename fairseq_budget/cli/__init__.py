"""Command lines: argparse around the ground floor, no arithmetic."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path

from fairseq_budget.errors import BudgetError

Main = Callable[[list[str] | None], int]


def user_errors(main: Main) -> Main:
    """Turn a BudgetError into one line on stderr and exit code 2; Ctrl-C into exit code 130."""
    name = "budget-" + Path(sys.modules[main.__module__].__file__ or "").stem.rstrip("_")

    @functools.wraps(main)
    def wrapped(argv: list[str] | None = None) -> int:
        try:
            return main(argv)
        except (BudgetError, OSError) as error:  # OSError: a full disk, a folder taken away
            print(f"{name}: error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"{name}: interrupted; nothing half-written is left behind", file=sys.stderr)
            return 130

    return wrapped
