"""Files of ours, of the types that they are to have, and everything else that may stand there."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_budget.structured import Range, conform, parse_json, read_json, read_table, read_yaml


@dataclass
class Part:
    name: str
    share: Annotated[float, Range(0, 1)] = 0.5


@dataclass
class Whole:
    count: Annotated[int, Range(1, 100)]
    parts: list[Part]
    by_name: dict[str, int | None]
    is_done: bool = False


GOOD = {"count": 3, "parts": [{"name": "a", "share": 1}], "by_name": {"x": None, "y": 2}}


def test_a_file_becomes_the_dataclasses_that_it_describes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(GOOD))
    found = read_json(tmp_path / "a.json", Whole)
    assert found == Whole(3, [Part("a", 1.0)], {"x": None, "y": 2})
    assert isinstance(found.parts[0].share, float)
    (tmp_path / "a.yaml").write_text("count: 3\nparts: [{name: a, share: 1}]\nby_name: {x: , y: 2}")
    assert read_yaml(tmp_path / "a.yaml", Whole) == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": "3"}, r'it.count is "3", expected a whole number'),
        ({"count": True}, "it.count is true, expected a whole number"),
        ({"count": 3.5}, "it.count is 3.5"),
        ({"parts": [{"name": "a", "share": 10**400}]}, r"share is 1000\d*..., beyond all numbers"),
        ({"count": 10**30}, r"it.count is 1000\d*..., expected 1 to 100"),
        ({"parts": {}}, "it.parts is an object, expected a list"),
        ({"parts": [{"name": "a"}, {"share": 0}]}, r"it.parts\[1\] has no name"),
        ({"parts": [{"name": "a", "share": 4.55}]}, r"share is 4.55, expected 0 to 1"),
        ({"by_name": {"x": "y"}}, 'it.by_name.x is "y", expected a whole number'),
        ({"is_done": 1}, "it.is_done is 1, expected true or false"),
        ({"more": 1}, "it has more, which is not known"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        conform({**GOOD, **change}, Whole)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[1", "NaN", '{"a": Infinity}', "[" * 100_000, "9" * 5_000, b'"\xff\xfe\x00"'),
        *("1e400", '{"a": [-1e999]}', '"\\ud800"', '{"\\udfff": 1}'),
    ],
)
def test_text_that_is_no_plain_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1, 1]\nb: &b [*a, *a]",
        "!!python/object/apply:os.getcwd []",
        "[" * 50_000,
        "a: [",
        "a: {b",
        "a: .nan",
        "a: -.inf",
        "!!timestamp x",
        "!!int ''",
        "!!bool x",
    ],
)
def test_yaml_that_refers_runs_or_never_ends_is_a_value_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"\S"):
        read_yaml(tmp_path / "a.yaml")


TABLE = 'id\ttext\na\t"b"\nc\t\n'


def test_a_table_is_its_header_and_rows_as_wide(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(TABLE)
    assert list(read_table(tmp_path / "a.tsv")) == [["id", "text"], ["a", "b"], ["c", ""]]
    assert list(read_table(tmp_path / "a.tsv", is_quoted=False))[1] == ["a", '"b"']


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the header is"),
        ("id\tid\na\tb\n", "the header is"),
        (TABLE + "d\n", "line 4: 1 columns instead of 2"),
        (TABLE + "d\te\tf\n", "line 4: 3 columns instead of 2"),
        (f"{TABLE}d\t{'x' * 200_000}\n", "line 4: field larger than"),
        (TABLE + '"d\t', "line 4: 1 columns"),
    ],
)
def test_a_table_of_another_shape_is_a_value_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.tsv").write_text(text)
    with pytest.raises(ValueError, match=words):
        list(read_table(tmp_path / "a.tsv"))


def test_a_file_of_any_size_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(ValueError, match="8,589,934,592 bytes"):
        read_json(tmp_path / "a.json")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain)
def test_any_value_at_all_is_of_the_type_or_a_value_error(value: Any) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(conform(value, Whole), Whole)
