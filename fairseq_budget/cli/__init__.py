"""Command lines: argparse around the ground floor, no arithmetic.

The path of a command is the command: ``budget-plan match`` is ``cli/plan/match.py``. A module of a
subcommand has ``add(commands)``, which adds its parser, and sets what that runs. What it works with
it imports by `later.imported_later`, so that no ``--help`` waits for torch.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from types import ModuleType

from fairseq_budget.errors import BudgetError

Main = Callable[[list[str] | None], int]
Commands = argparse._SubParsersAction  # generic in stubs only


def find_command(name: str) -> ModuleType:
    """The module of ``budget-{name}``, with its `build_parser` and `main`."""
    module = f"{__name__}.{name}_" if name == "import" else f"{__name__}.{name}"
    found = importlib.import_module(module)
    return importlib.import_module(f"{module}.command") if hasattr(found, "__path__") else found


def add_subcommands(parser: argparse.ArgumentParser, modules: Iterable[ModuleType]) -> None:
    """Give a command the subcommands of these modules, one of which must be chosen."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in modules:
        module.add(commands)


def run(parser: argparse.ArgumentParser, argv: list[str] | None) -> int:
    """Parse a command line and run what it chose; returns the exit code."""
    args = parser.parse_args(argv)
    return int(args.run(args) or 0)


def user_errors(main: Main) -> Main:
    """Turn a BudgetError into one line on stderr and exit code 2; Ctrl-C into exit code 130."""
    name = "budget-" + main.__module__.split(".")[2].rstrip("_")

    @functools.wraps(main)
    def wrapped(argv: list[str] | None = None) -> int:
        _leave_at_once()
        try:
            return main(argv)
        except BrokenPipeError:  # whoever read our lines, as `head`, has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except (BudgetError, OSError) as error:  # OSError: a full disk, a folder taken away
            print(f"{name}: error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"{name}: interrupted; nothing half-written is left behind", file=sys.stderr)
            return 130

    return wrapped


@functools.cache
def _leave_at_once() -> None:
    """Python ends by looking for garbage again and again, for 0.2 s where torch is there."""
    atexit.register(gc.freeze)
