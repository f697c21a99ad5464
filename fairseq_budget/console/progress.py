"""How far a command is: a bar in a terminal, a line now and then in a file; tqdm's only door."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

QUIET_S = 30  # seconds between two lines, and before the first: short commands stay silent


class Progress(tqdm):
    """tqdm with its arguments; where stderr is no terminal, a line every `quiet_s` seconds."""

    def __init__(self, *args: Any, quiet_s: float = QUIET_S, **kwargs: Any) -> None:
        if not sys.stderr.isatty():
            kwargs |= {"delay": quiet_s, "mininterval": quiet_s, "miniters": 1}
        super().__init__(*args, **kwargs)

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        if file.isatty():
            printer: Callable[[str], None] = tqdm.status_printer(file)
            return printer
        return lambda text: print(text, file=file, flush=True) if text else None
