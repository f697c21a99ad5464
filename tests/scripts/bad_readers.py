"""Readers that do all that none should, for the test of the judge."""

from __future__ import annotations

import os
import time
from pathlib import Path

from fuzzing.codecs import JSON
from fuzzing.reader import Reader

from fairseq_budget.errors import BudgetError

SOUND = '{"a": 1, "b": [2, 3]}'


def _make(folder: Path) -> Path:
    (folder / "a.json").write_text(SOUND)
    return folder / "a.json"


def _if_changed(do):
    def read(path: Path):
        content = path.read_bytes()
        return content if content == SOUND.encode() else do(content)

    return read


def _refuse(content):
    raise BudgetError("changed")


def _check(content):
    assert content == SOUND.encode(), content


READERS = (
    Reader("refuses", _make, _if_changed(_refuse)),
    Reader("sees nothing", _make, lambda path: 0, codec=JSON),
    Reader("raises", _make, _if_changed(lambda _: {}["a"])),
    Reader("hangs", _make, _if_changed(lambda _: time.sleep(60))),
    Reader("dies", _make, _if_changed(lambda _: os._exit(1))),
    Reader("fills the memory", _make, _if_changed(lambda _: bytes(1 << 40))),
    Reader("believes all", _make, Path.read_bytes, _check),
    Reader("believes all in spite of a hash", _make, Path.read_bytes, is_guarded=True),
)
