"""Rows, printed for people or for programs."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from fairseq_budget.console.table import columns, table
from fairseq_budget.files import atomic_write


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def print_rows(rows: Sequence[Any], *, as_json: bool, hide: Collection[str] = ()) -> None:
    """A table of the rows, or JSON with all of their fields; `hide` is left out of the table."""
    print(json.dumps([_plain(row) for row in rows], indent=2) if as_json else table(rows, hide))


def _plain(row: Any) -> Any:
    """A row as JSON has it."""
    return asdict(row) if is_dataclass(row) and not isinstance(row, type) else row


def write_csv(rows: Sequence[Any], path: Path) -> None:
    """The columns of a table, as numbers."""
    shown = columns(rows)
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, list(shown[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(shown)
