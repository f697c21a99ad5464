"""Rows as Markdown tables, for terminals and reports alike.

A row is a frozen dataclass, whose fields carry their units in their names and say by `column` how
people see them; or a mapping, where only a run knows what it logs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

_BORDER = re.compile(r"(\\*)\|")  # a `|`, and the backslashes before it


def column(
    header: str | None = None,
    *,
    default: Any = dataclasses.MISSING,
    digits: int | None = None,
    percent: bool = False,
    optional: bool = False,
    hidden: bool = False,
) -> Any:
    """A field of a row, and how a table shows it.

    `header` is the field's name with blanks where none is given; `digits` are behind the point.
    An `optional` column is left out where no row has a value, a `hidden` one always.
    """
    look = {"header": header, "digits": digits, "percent": percent}
    return dataclasses.field(
        default=default, metadata={**look, "optional": optional, "hidden": hidden}
    )


def columns(rows: Sequence[Any], hide: Collection[str] = ()) -> list[dict[str, Any]]:
    """Rows as dictionaries of what tables show; all have the same keys, None for what is not."""
    if not all(map(dataclasses.is_dataclass, rows)):
        keys = dict.fromkeys(key for row in rows for key in row)
        return [{key: row.get(key) for key in keys} for row in rows]
    shown = [
        field.name
        for field in (dataclasses.fields(rows[0]) if rows else ())
        if field.name not in hide
        and not field.metadata.get("hidden")
        and not (
            field.metadata.get("optional") and all(getattr(r, field.name) is None for r in rows)
        )
    ]
    return [{name: getattr(row, name) for name in shown} for row in rows]


def table(rows: Sequence[Any], hide: Collection[str] = ()) -> str:
    """Rows -> a Markdown table, their columns headed and formatted as their fields say."""
    return markdown_table(cells(rows, hide))


def cells(rows: Sequence[Any], hide: Collection[str] = ()) -> list[dict[str, str]]:
    """Rows -> the text of each column by its header, as their fields say."""
    fields = {}
    if rows and dataclasses.is_dataclass(rows[0]):
        fields = {field.name: field.metadata for field in dataclasses.fields(rows[0])}
    return [
        {_header(name, fields): _formatted(value, fields.get(name, {})) for name, value in row}
        for row in map(dict.items, columns(rows, hide))
    ]


def _header(name: str, fields: Mapping[str, Mapping[str, Any]]) -> str:
    if name not in fields:
        return name
    header = fields[name].get("header")
    return name.replace("_", " ") if header is None else header


def _formatted(value: Any, look: Mapping[str, Any]) -> str:
    if isinstance(value, float) and look.get("percent"):
        return f"{value:.1%}"
    if isinstance(value, float) and look.get("digits") is not None:
        return f"{value:,.{look['digits']}f}"
    return cell(value)


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of equal keys -> a Markdown table with aligned columns; keys are the header.

    Whatever a cell holds, it stays one cell: it may be a name that somebody chose (see `escaped`).
    """
    if not rows:
        return "(no rows)"
    lines = [list(map(escaped, line)) for line in (rows[0], *(row.values() for row in rows))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = [" | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
    shown.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {row} |" for row in shown)


def latex_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of equal keys -> a LaTeX tabular, with booktabs' rules; keys are the header."""
    header, *lines = [
        " & ".join(map(_latex, line)) + r" \\" for line in (rows[0], *(r.values() for r in rows))
    ]
    columns = "l" + "r" * (len(rows[0]) - 1)
    parts = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", header, r"\midrule", *lines]
    return "\n".join([*parts, r"\bottomrule", r"\end{tabular}"])


_LATEX = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{"±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "\n": " "},
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


def escaped(text: str) -> str:
    """A name as Markdown shows it: in one line, no border of a cell, and no tag of HTML.

    A backslash is doubled where it would take the escape of a `|` behind it.
    """
    line = " ".join(text.splitlines()).replace("<", "&lt;")
    return _BORDER.sub(r"\1\1\\|", line)


def fenced(text: str, language: str) -> str:
    """A block of code in Markdown, whatever it holds: its fence is longer than any within."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def cell(value: Any) -> str:
    """A value as tables show it: 1,234 and 0.1235, yes and no, a dash for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
