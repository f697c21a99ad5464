"""Reading what fairseq logged: one record per line of ``common.log_file``, simple or json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_budget.errors import BudgetError

Record = dict[str, float]

# fairseq's two formats: "epoch 001:  10 / 44 loss=0.9, ..." and {"epoch": 1, "loss": "0.9", ...}.
# Summaries of an epoch's training ("epoch 001 | loss", "train_loss") are left aside.
_SIMPLE = re.compile(r"epoch \d+(?::| \| (valid) on)(.*)")
_JSON = '{"epoch"'
_PAIR = re.compile(r"\b(\w+)[= ]([-+]?[\d.]+(?:e[-+]?\d+)?)(?=[\s,|]|$)")


@dataclass
class TrainingLog:
    """Records of training (every log_interval updates) and of validation, in order.

    A run that was interrupted and resumed has logged some updates twice; the later record counts.
    """

    train: list[Record]
    valid: list[Record]


def read_training_log(path: str | Path) -> TrainingLog:
    """Parse a fairseq log; BudgetError when there is nothing of ours in it."""
    records: dict[str, dict[float, Record]] = {"train": {}, "valid": {}}
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BudgetError(f"cannot read the training log {path}: {error.strerror}") from error
    for line in text.splitlines():
        kind, record = _parse(line)
        if "loss" in record and _is_count(record.get("num_updates")):
            records[kind][record["num_updates"]] = record
    if not records["train"]:
        if made := re.findall(r"num_updates\W+(\d+)", text):  # in summaries of epochs
            raise BudgetError(
                f"{path} holds no training record: the run made {made[-1]} updates, fewer than "
                "common.log_interval, after each of which one is logged; train for longer, or set "
                "common.log_interval=1"
            )
        raise BudgetError(
            f"{path} holds no training records: set common.log_file and common.log_format=json or "
            "simple when you train"
        )
    train, valid = (
        [records[kind][update] for update in sorted(records[kind])] for kind in ("train", "valid")
    )
    return TrainingLog(train, valid)


def _parse(line: str) -> tuple[str, Record]:
    """'train' or 'valid', and the numbers of the line; an empty record if it has none."""
    if match := _SIMPLE.search(line):
        return match[1] or "train", _numbers(_PAIR.findall(match[2]))
    if (start := line.find(_JSON)) >= 0:
        try:
            pairs = json.loads(line[start : line.rfind("}") + 1])  # whose losses may be NaN
        except (ValueError, RecursionError):  # a line that a kill has cut short
            return "train", {}
        kind = "valid" if "valid_loss" in pairs else "train"
        return kind, _numbers((k.removeprefix("valid_"), v) for k, v in pairs.items())
    return "train", {}


def _numbers(pairs: Iterable[tuple[str, Any]]) -> Record:
    """Those of the pairs whose values are numbers."""
    numbers = {}
    for name, value in pairs:
        with suppress(TypeError, ValueError, OverflowError):
            numbers[name] = float(value)
    return numbers


def _is_count(value: float | None) -> bool:
    return value is not None and value.is_integer() and 0 <= value < 1 << 53
