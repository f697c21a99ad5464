"""Reading content of another kind: the file, what is wrong and the cure."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading

PARSERS = {
    "text that is no UTF-8": lambda: b"\xff".decode(),
    "no number": lambda: int("x"),
    "a key that is not there": lambda: {}["rate"],
    "a line that is not there": lambda: [][0],
    "text in place of a list": lambda: "a".append("b"),
    "a number too large": lambda: float(10**400),
    "no file": lambda: Path("none").read_text(),
    "bytes that are missing": lambda: struct.unpack("<I", b"a"),
    "bytes that do not inflate": lambda: zlib.decompress(b"no"),
}


@pytest.mark.parametrize("kind", PARSERS)
def test_content_of_another_kind_becomes_one_error_with_the_cure(kind) -> None:
    with (
        pytest.raises(BudgetError, match=r"cannot read a\.txt \(.+\); make it again"),
        reading("a.txt", "make it again"),
    ):
        PARSERS[kind]()


def test_an_error_that_says_more_passes_as_it_is() -> None:
    with pytest.raises(BudgetError, match=r"^line 3$"), reading("a.txt", "make it again"):
        raise BudgetError("line 3")


def test_what_is_no_fault_of_the_file_passes_too() -> None:
    with pytest.raises(KeyboardInterrupt), reading("a.txt", "make it again"):
        raise KeyboardInterrupt
