"""Reading what fairseq logged: one record per line of ``common.log_file``, simple or json."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from fairseq_budget.errors import BudgetError

Record = dict[str, float]

_LINE = re.compile(r"\b(train_inner|valid)\b\W[^{]*?(\{\"epoch\".*\}|epoch .*)$")
_SIMPLE = re.compile(r"(\w+)[= ]([-+]?[\d.]+(?:e[-+]?\d+)?)(?=[\s,|]|$)")


@dataclass
class TrainingLog:
    """Records of training (every log_interval updates) and of validation, in order.

    A run that was interrupted and resumed has logged some updates twice; the later record counts.
    """

    train: list[Record]
    valid: list[Record]


def read_training_log(path: str | Path) -> TrainingLog:
    """Parse a fairseq log; BudgetError when there is nothing of ours in it."""
    records: dict[str, dict[float, Record]] = {"train_inner": {}, "valid": {}}
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BudgetError(f"cannot read the training log {path}: {error.strerror}") from error
    for line in text.splitlines():
        if match := _LINE.search(line):
            record = _parse(match[2])
            if "num_updates" in record and "loss" in record:
                records[match[1]][record["num_updates"]] = record
    if not records["train_inner"]:
        raise BudgetError(
            f"{path} holds no training records: set common.log_file and common.log_format=json or "
            "simple when you train"
        )
    train, valid = (
        [records[kind][update] for update in sorted(records[kind])]
        for kind in ("train_inner", "valid")
    )
    return TrainingLog(train, valid)


def _parse(text: str) -> Record:
    if text.startswith("{"):
        pairs = [(k.removeprefix("valid_"), v) for k, v in json.loads(text).items()]
    else:
        pairs = _SIMPLE.findall(text)
    record = {}
    for key, value in pairs:
        try:
            record[key] = float(value)
        except (TypeError, ValueError):
            continue  # names and other words
    return record
