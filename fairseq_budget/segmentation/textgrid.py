"""Interval tiers of Praat's TextGrid, which the Montreal Forced Aligner writes.

Long and short text files differ in comments only: to Praat ("TextGrid file formats" in its manual)
data are the free-standing numbers, flags as <exists>, and quoted strings, in which "" is a quote.
So one reader serves both.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from fairseq_budget.errors import BudgetError
from fairseq_budget.text.alignments import Span, check_order, seconds

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)(<\w+>|[-+]?[\d.][\d.eE+-]*)(?!\S)')
_CURE = "expected a TextGrid text file, as the Montreal Forced Aligner writes it"

Tiers = dict[str, list[Span]]


def read_tier(path: str | Path, tier: str) -> list[Span]:
    """The intervals of a tier in order: start and end in seconds, and the text.

    The file is UTF-8, or UTF-16 with a byte order mark. Raises BudgetError if it cannot be read or
    has no such interval tier, or intervals overlap or come out of order.
    """
    tiers = _read_tiers(Path(path))
    if tier not in tiers:
        names = ", ".join(map(repr, tiers)) or "none at all"
        raise BudgetError(f"{path} has no interval tier {tier!r}; name one of its own: {names}")
    check_order(tiers[tier], where=f"{path}, tier {tier!r}")
    return tiers[tier]


def _read_tiers(path: Path) -> Tiers:
    try:
        return _parse(_decode(path.read_bytes()))
    except OSError as error:
        raise BudgetError(f"cannot read {path}: {error.strerror}; {_CURE}") from error
    except (ValueError, StopIteration) as error:
        reason = str(error) or "it ends too early"
        raise BudgetError(f"{path} is broken ({reason}); {_CURE}") from error


def _decode(content: bytes) -> str:
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if utf16 else "utf-8-sig")


def _parse(text: str) -> Tiers:
    tokens = ((token[1], token[2]) for token in _TOKEN.finditer(text))
    header = [next(tokens) for _ in range(5)]  # file type, class, start, end, whether tiers exist
    if [quoted for quoted, _ in header[:2]] != ["ooTextFile", "TextGrid"]:
        raise ValueError("no TextGrid header")
    num_tiers = _count(tokens) if header[4][1] == "<exists>" else 0
    tiers: Tiers = {}
    for _ in range(num_tiers):
        kind, name = _string(tokens), _string(tokens)
        _number(tokens), _number(tokens)  # start and end of the tier
        rows = range(_count(tokens))
        if kind == "IntervalTier":
            tiers[name] = [(_number(tokens), _number(tokens), _string(tokens)) for _ in rows]
        else:  # points in time
            _ = [(_number(tokens), _string(tokens)) for _ in rows]
    if next(tokens, None) is not None:
        raise ValueError("it holds more than it counts")
    return tiers


_Tokens = Iterator[tuple[str | None, str | None]]
"""Pairs of a quoted string and of a number or flag; one of the two is None."""


def _string(tokens: _Tokens) -> str:
    quoted, other = next(tokens)
    if quoted is None:
        raise ValueError(f"{other} in the place of a quoted string")
    return quoted.replace('""', '"')


def _number(tokens: _Tokens) -> float:
    quoted, other = next(tokens)
    if other is None:
        raise ValueError(f"{quoted!r} in the place of a number")
    return seconds(other)


def _count(tokens: _Tokens) -> int:
    if not (count := _number(tokens)).is_integer() or count < 0:
        raise ValueError(f"{count} in the place of a count")
    return int(count)
