"""A kind of file that is fuzzed: how a sound one is made, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_budget.errors import BudgetError
from fuzzing.codecs import Codec, Shell


@dataclass(frozen=True)
class Reader:
    """`make` writes a sound file into a folder, `read` gives what it says, in plain values.

    `make` uses the project's own writers, where there are any, and returns the file to be changed.
    `check` raises for content that no file may be read as. `is_guarded`: a changed byte is told by
    a hash or a count, so that other content is never read. `named`: the errors that are promised.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    check: Callable[[Any], None] = lambda _: None
    is_guarded: bool = False
    codec: Codec | None = None
    shell: Shell | None = None
    named: tuple[type[Exception], ...] = (BudgetError,)
