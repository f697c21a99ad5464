"""Markdown tables, for terminals and reports alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of equal keys -> a Markdown table with aligned columns; keys are the header."""
    if not rows:
        return "(no rows)"
    lines = [list(rows[0]), *[list(row.values()) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    cells = [" | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
    cells.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {row} |" for row in cells)


def cell(value: Any) -> str:
    """A value as tables show it: 1,234 and 0.1235, a dash for None."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def aligned(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the same keys, None where one has no such value."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key) for key in keys} for row in rows]
