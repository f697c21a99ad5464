"""Changes of files, drawn from a seed: of their bytes, lines and fields, and of their structure."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from fuzzing.codecs import Codec

DEEP = 100_000  # brackets within brackets
_FIELD = re.compile(rb'[^\s,:"\[\]{}|@+=]+')
_NUMBER = re.compile(rb"\d+")
_PLACE = "here stands what json cannot say"

ODD_FIELDS = (
    *(b"nan", b"-inf", b"inf", b"NaN", b"1e400", b"-1", b"0", b"-0.0", b"1e-400", b"0.5", b"4.55"),
    *(b"9" * 5000, b"9" * 19, b"1" + b"0" * 400, b"2147483648", b"1_0", b"+1", b"007", b"1.2.3"),
    *(b"", b" ", b"\t", b"\n", b"\r", b"\0", b"|", b'"', b"'", b"#", b"%s", b"..", b"/", b"~"),
    *("\u0663".encode(), "\u00b2".encode(), "\u2028".encode(), "\x85".encode(), "\u00e9".encode()),
    *(b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"x" * 200_000, b"true", b"null", b"[]"),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 10**6, 2**31, 2**63, 10**30, 10**400, 0.5, 4.55, -1e9, 1e300),
    *("", "0", "nan", "text", "\0", "\ud800", "x" * 5000, "../../x", "/", [], {}, [[]], {"a": 1}),
    *([None], [0] * 50, {"": ""}, float("nan"), float("inf")),
)
ODD_JSON = (
    *(b"NaN", b"-Infinity", b"1e400", b"9" * 5000, b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP),
    *(b'{"a": 1, "a": 2}', b'"\\ud800"', b"", b"'a'", b"&a [*a]", b"!!timestamp x", b"!!int ''"),
)


def change(content: bytes, number: random.Random, codec: Codec | None) -> tuple[str, bytes]:
    """The name of a change, and the content after it.

    Where there is a `codec`, half of the changes are of the structure that it finds.
    """
    if codec is not None and number.random() < 0.5:
        return "structure", _change_structure(content, number, codec)
    how = number.choice(_CHANGES)
    return how.__name__.strip("_").replace("_", " "), how(content, number)


def _cut(content: bytes, number: random.Random) -> bytes:
    return content[: number.randrange(len(content) + 1)]


def _flip_bits(content: bytes, number: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(number.choice((1, 1, 1, 8))):
        changed[number.randrange(len(changed))] ^= 1 << number.randrange(8)
    return bytes(changed)


def _run(content: bytes, number: random.Random) -> tuple[int, int]:
    start = number.randrange(len(content))
    return start, min(len(content), start + number.choice((1, 2, 4, 8, 64, 4096)))


def _hole_of_zeros(content: bytes, number: random.Random) -> bytes:
    start, end = _run(content, number)
    return content[:start] + bytes(end - start) + content[end:]


def _all_ones(content: bytes, number: random.Random) -> bytes:
    start, end = _run(content, number)
    return content[:start] + b"\xff" * (end - start) + content[end:]


def _leave_out(content: bytes, number: random.Random) -> bytes:
    start, end = _run(content, number)
    return content[:start] + content[end:]


def _garbage(content: bytes, number: random.Random) -> bytes:
    start, end = _run(content, number)
    return content[:start] + number.randbytes(end - start) + content[start:]


def _odd_field(content: bytes, number: random.Random) -> bytes:
    return _replace(content, number, _FIELD, lambda _: number.choice(ODD_FIELDS))


def _other_number(content: bytes, number: random.Random) -> bytes:
    return _replace(content, number, _NUMBER, lambda found: _other(found, number))


def _other(found: bytes, number: random.Random) -> bytes:
    value = int(found[:100])
    return str(number.choice((value + 1, value - 1, 10 * value, value + 2**32, 2**62))).encode()


def _replace(
    content: bytes,
    number: random.Random,
    pattern: re.Pattern[bytes],
    new: Callable[[bytes], bytes],
) -> bytes:
    places = [match.span() for match in pattern.finditer(content[:200_000])] or [(0, 0)]
    start, end = number.choice(places)
    return content[:start] + new(content[start:end] or b"0") + content[end:]


def _lines(content: bytes, number: random.Random) -> bytes:
    """One line dropped, doubled, emptied, moved or replaced."""
    lines = content.splitlines(keepends=True)
    here, there = number.randrange(len(lines)), number.randrange(len(lines))
    how = number.randrange(5)
    if how == 0:
        del lines[here]
    elif how == 1:
        lines.insert(there, lines[here])
    elif how == 2:
        lines[here] = b"\n"
    elif how == 3:
        lines[here], lines[there] = lines[there], lines[here]
    else:
        lines[here] = number.choice(ODD_FIELDS) + b"\n"
    return b"".join(lines)


def _encoding(content: bytes, number: random.Random) -> bytes:
    """What editors and other systems make of a text."""
    text = content.decode("latin-1")
    return number.choice(
        (
            content.replace(b"\n", b"\r\n"),
            content.replace(b"\n", b"\r"),
            b"\xef\xbb\xbf" + content,
            text.encode("utf-16"),
            content.rstrip(b"\n"),
            content + b"\n",
            content + content,
            b"",
        )
    )


_CHANGES = (
    *(_cut, _flip_bits, _flip_bits, _hole_of_zeros, _all_ones, _leave_out, _garbage),
    *(_odd_field, _odd_field, _odd_field, _other_number, _lines, _lines, _encoding),
)


def _change_structure(content: bytes, number: random.Random, codec: Codec) -> bytes:
    tree = [codec.load(content)]
    for _ in range(number.choice((1, 1, 2))):
        container, key = number.choice(_places(tree))
        how = number.randrange(6)
        if how == 0 and container is not tree:
            del container[key]
        elif how == 1 and isinstance(container, list):
            container.insert(key, container[key])
        elif how == 2 and isinstance(container, dict):
            container[number.choice(("more", "", "0", "\0"))] = container[key]
        elif how == 3 and isinstance(container[key], int):
            container[key] += number.choice((1, -1, 64, -64))
        elif how == 4 and codec.is_json:
            container[key] = _PLACE
        else:
            container[key] = number.choice(ODD_VALUES)
    odd = number.choice(ODD_JSON)
    return codec.dump(tree[0], lambda text: text.replace(f'"{_PLACE}"'.encode(), odd))


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container within a tree, with each key or index of it."""
    if not isinstance(tree, dict | list):
        return []
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    own = [(tree, key) for key in keys]
    return own + [place for key in keys for place in _places(tree[key])]
