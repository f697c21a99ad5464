"""JSON and yaml of ours, read as the types that they are to have: anything else is an error.

A file may come from anywhere. It is never executed, its numbers are finite, and neither nesting
nor references can fill the memory. Errors are ValueErrors that say what is wrong, and where in the
file; callers add which file it is, and how it is made again.
"""

from __future__ import annotations

import csv
import json
import math
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, Union, get_args, get_origin, get_type_hints

import yaml

MAX_BYTES = 1 << 26


@dataclass(frozen=True)
class Range:
    """The least and the greatest value of a number: ``Annotated[int, Range(2, 100)]``."""

    least: float
    most: float


Share = Annotated[float, Range(0, 1)]
Rate = Annotated[float, Range(0, 100)]  # of errors, which may be more than there are words


def read_json(path: Path, kind: Any = Any) -> Any:
    """The content of a file as a `kind`: a dataclass, or containers of such, as in annotations."""
    return parse_json(_read(path), kind)


def parse_json(text: str | bytes, kind: Any = Any) -> Any:
    """The value of a JSON text as a `kind` (see `read_json`)."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        _check_plain(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return conform(value, kind)


def parse_word(text: str) -> Any:
    """A number, true, false or null; any other text stands for itself."""
    try:
        return parse_json(text)
    except ValueError:
        return text


def read_yaml(path: Path, kind: Any = Any) -> Any:
    """The content of a yaml file as a `kind` (see `read_json`); references are refused."""
    try:
        # a subclass of the safe loader: it makes plain containers and values only
        value = yaml.load(_read(path), _PlainLoader)
        _check_plain(value)
    except (yaml.YAMLError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ValueError(" ".join(reason.split())) from None
    except (LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it has a value that is none ({error!r})") from None
    return conform(value, kind)


def read_table(path: Path, *, is_quoted: bool = True, delimiter: str = "\t") -> Iterator[list[str]]:
    """The header of a table, and then its rows, which are as wide.

    Quotes are csv's, or characters like others if it is not `is_quoted`. ValueError names the line.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(
            file, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE
        )
        header: list[str] = []
        try:
            for row in filter(None, rows):  # csv makes nothing of an empty line
                header = header or row
                if len(row) != len(header):
                    raise ValueError(f"{len(row)} columns instead of {len(header)}")
                yield row
        except (ValueError, csv.Error) as error:
            raise ValueError(f"line {rows.line_num}: {error}") from error
        if len(set(header)) < len(header) or not header:
            raise ValueError(f"the header is {header}: expected a name for each column")


def conform(value: Any, kind: Any, where: str = "it") -> Any:
    """`value` if it is a `kind`, with its dataclasses built; else a ValueError that says where."""
    if kind is Any:
        return value
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _in_range(conform(value, inner[0], where), inner[1], where)
    if origin in (Union, types.UnionType):
        return _any_of(value, inner, where)
    if is_dataclass(kind):
        return _build(value, kind, where)
    if origin is list:
        items = _expect(isinstance(value, list), value, "a list", where)
        return [conform(item, inner[0], f"{where}[{i}]") for i, item in enumerate(items)]
    if origin is dict:
        items = _expect(isinstance(value, dict), value, "an object", where)
        return {key: conform(item, inner[1], f"{where}.{key}") for key, item in items.items()}
    if kind is float:
        is_one = isinstance(value, int | float) and not isinstance(value, bool)
        return _float(_expect(is_one, value, "a number", where), where)
    name = _NAMES.get(kind, getattr(kind, "__name__", str(kind)))
    return _expect(value is None if kind is type(None) else type(value) is kind, value, name, where)


def check_entries(value: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Raise ValueError for an entry that is not of its kind; it may be missing, or have others."""
    for name in kinds.keys() & value.keys():
        conform(value[name], kinds[name], name)


_NAMES: dict[Any, str] = {
    int: "a whole number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    dict: "an object",
    list: "a list",
}


def _build(value: Any, kind: Any, where: str) -> Any:
    given = _expect(isinstance(value, dict), value, "an object", where)
    hints = get_type_hints(kind, include_extras=True)
    known = [field for field in fields(kind) if field.init]
    names = {field.name for field in known}
    required = {f.name for f in known if f.default is MISSING and f.default_factory is MISSING}
    if missing := sorted(required - given.keys()):
        raise ValueError(f"{where} has no {', '.join(missing)}")
    if other := sorted(map(str, given.keys() - names)):
        raise ValueError(f"{where} has {', '.join(other)}, which is not known")
    return kind(**{n: conform(item, hints[n], f"{where}.{n}") for n, item in given.items()})


def _any_of(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    reasons = []
    for kind in kinds:
        try:
            return conform(value, kind, where)
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError(reasons[0])


def _in_range(value: Any, allowed: Range, where: str) -> Any:
    if not allowed.least <= value <= allowed.most:
        expected = f"{allowed.least:,} to {allowed.most:,}"
        raise ValueError(f"{where} is {_short(value)}, expected {expected}")
    return value


def _float(value: float, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{where} is {_short(value)}, beyond all numbers") from None


def _expect(is_one: bool, value: Any, expected: str, where: str) -> Any:
    if not is_one:
        raise ValueError(f"{where} is {_short(value)}, expected {expected}")
    return value


def _short(value: Any) -> str:
    """A value as JSON writes it, as far as it fits into a line."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, default=str)
    return text if len(text) < 40 else f"{text[:36]}..."


def _read(path: Path) -> str:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"it has {size:,} bytes, expected {MAX_BYTES:,} at most")
    return path.read_text(encoding="utf-8")


_SURROGATE = re.compile("[\ud800-\udfff]")


def _check_plain(value: Any) -> None:
    """Raise ValueError for numbers that are not finite, and for text that cannot be written."""
    if isinstance(value, dict):
        for item in (*value, *value.values()):
            _check_plain(item)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number")
    elif isinstance(value, str) and _SURROGATE.search(value):
        raise ValueError(f"{value[:40]!r} is no text")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


class _PlainLoader(yaml.SafeLoader):
    """Trees only: a few references to references would be more than fits into memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError(f"references such as *{self.peek_event().anchor} are not read")
        return super().compose_node(parent, index)
