"""Hides what other packages say, unless the environment has ``BUDGET_DEBUG=1``.

fairseq prints its whole config and the module tree, and its imports warn of deprecated features.
Warnings and errors in anybody's logs are always shown; a log file has everything.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

LEVELS = {
    "hydra": logging.INFO,
    "fairseq.distributed": logging.WARNING,
    "fairseq.utils": logging.WARNING,
    "s3prl.upstream": logging.ERROR,
}
"""Loggers that speak before anybody has chosen what is shown, and the least that they may say."""

EVENTS = (
    "Loaded checkpoint",
    "Saved checkpoint",
    "Stopping training",
    "early stop",
    "done training",
    "NOTE:",
)
"""How fairseq's messages begin that tell of a run and not of fairseq."""


def is_debug() -> bool:
    return os.environ.get("BUDGET_DEBUG", "") not in ("", "0")


def hush() -> None:
    """From now on in this process; warnings of our own modules, and those asked for by -W, stay."""
    set_levels()
    if not is_debug() and not sys.warnoptions:
        warnings.filterwarnings("ignore")
        warnings.filterwarnings("default", module="fairseq_budget")


def set_levels() -> None:
    """Of `LEVELS`, which takes nothing from what a Python program shows of its own."""
    for name, level in LEVELS.items():
        if not is_debug():
            logging.getLogger(name).setLevel(level)


class Shown(logging.Filter):
    """Lets through what loggers of these names (and below them) say, events and warnings."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._filters = [logging.Filter(name) for name in names]

    def filter(self, record: logging.LogRecord) -> bool:
        return (
            record.levelno >= logging.WARNING
            or any(each.filter(record) for each in self._filters)
            or str(record.msg).startswith(EVENTS)
        )


def hush_console(config: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A configuration of `logging` whose consoles show what `Shown` does; files have all."""
    handlers = {
        name: {**handler, "filters": ["shown"]} if _is_console(handler) else handler
        for name, handler in (config.get("handlers") or {}).items()
    }
    shown = {"()": f"{__name__}.Shown", "names": list(names)}
    return {**config, "handlers": handlers, "filters": {"shown": shown}}


def _is_console(handler: dict[str, Any]) -> bool:
    return str(handler.get("class")).endswith("StreamHandler")
