"""Rows as tables: headers, units and what is left out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from fairseq_budget.console.table import cell, column, columns, markdown_table, table


@dataclass(frozen=True, kw_only=True)
class Row:
    size: str
    num_updates: int
    share: float = column(percent=True)
    gmacs: float = column("GMACs", digits=1)
    update_s: float | None = column("s", default=None, optional=True)
    note: str = column(default="", hidden=True)


ROW = Row(size="slim", num_updates=1234, share=0.5, gmacs=7.25)


def test_fields_say_their_header_and_their_format():
    head, _, line = table([ROW]).splitlines()
    assert [word.strip() for word in head.strip("|").split("|")] == [
        "size", "num updates", "share", "GMACs",
    ]  # fmt: skip
    assert [word.strip() for word in line.strip("|").split("|")] == [
        "slim", "1,234", "50.0%", "7.2",
    ]  # fmt: skip


def test_an_optional_column_stands_where_any_row_has_a_value():
    timed = Row(size="base", num_updates=1, share=0.5, gmacs=1.0, update_s=2.0)
    assert "update_s" not in columns([ROW])[0]
    assert [row["update_s"] for row in columns([ROW, timed])] == [None, 2.0]


def test_a_hidden_column_never_stands_and_others_may_be_left_out():
    assert columns([ROW], hide=("share", "gmacs"))[0].keys() == {"size", "num_updates"}


def test_mappings_are_aligned_and_no_rows_are_said():
    rows = [{"a": 1}, {"a": 2, "b": 0.12345}]
    assert columns(rows) == [{"a": 1, "b": None}, {"a": 2, "b": 0.12345}]
    assert table(rows).splitlines()[2].split("|")[2].strip() == "-"
    assert table([]) == "(no rows)"


def test_cells_are_for_people():
    assert [cell(v) for v in (None, True, False, 12345, 0.12345, "x")] == [
        "-", "yes", "no", "12,345", "0.1235", "x",
    ]  # fmt: skip


ODD = st.text(alphabet="ab|\\<> \n\r\u2028\x0b", max_size=8)


def cells_of(row: str) -> list[str]:
    """The cells of a row as GitHub reads them: a `|` behind a backslash is no border."""
    cells = re.split(r"(?<!\\)\|", row)
    assert cells[0] == cells[-1] == ""
    return [re.sub(r"(\\*)\\\|", lambda found: found[1][::2] + "|", c.strip()) for c in cells[1:-1]]


@given(name=ODD, other=ODD)
@example(name="<script>alert(1)</script>", other="|-|-|")
@example(name="a\\|b", other="a\\\\|")
def test_odd_names_stay_one_cell_in_one_line_without_tags(name, other):
    text = markdown_table([{f"1{name}": name, f"2{other}": other}])
    assert "<" not in text
    lines = text.splitlines()
    assert len(lines) == 3
    assert [len(cells_of(line)) for line in lines] == [2, 2, 2]
    shown = [" ".join(odd.splitlines()).replace("<", "&lt;").strip() for odd in (name, other)]
    assert cells_of(lines[2]) == shown


def test_a_latex_table_has_rules_and_its_signs_are_escaped():
    from fairseq_budget.console.table import latex_table

    assert latex_table([{"a_b": "x", "PER (%) ↓": "1.0 ± 0.2"}]).splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"a\_b & PER (\%) $\downarrow$ \\",
        r"\midrule",
        r"x & 1.0 $\pm$ 0.2 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
