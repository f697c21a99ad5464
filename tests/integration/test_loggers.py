"""What goes to TensorBoard and Weights & Biases has the names and the values of the log."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairseq_budget.report.training_log import Record, read_training_log
from tests.conftest import run, train_command

pytestmark = pytest.mark.fairseq
Logged = dict[tuple[float, str], float]  # by update and name


def of_log(records: list[Record]) -> Logged:
    return {
        (record["num_updates"], name): value
        for record in records
        for name, value in record.items()
        if name != "num_updates"
    }


def messages(file: Path) -> Iterator[bytes]:
    """TensorFlow's records: a length, its check sum, the message, and its check sum."""
    raw = file.read_bytes()
    while raw:
        [length] = struct.unpack("<Q", raw[:8])
        yield raw[12 : 12 + length]
        raw = raw[16 + length :]


def of_tensorboard(folder: Path) -> Logged:
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    [file] = folder.glob("events.*")
    events = [event_pb2.Event.FromString(message) for message in messages(file)]
    return {
        (event.step, value.tag): value.simple_value
        for event in events
        for value in event.summary.value
        if value.HasField("simple_value")
    }


@pytest.mark.parametrize(("split", "records"), [("train_inner", "train"), ("valid", "valid")])
def test_tensorboard_has_what_the_log_has(split, records, training):
    log = read_training_log(training[0] / "train.log")
    expected = of_log(getattr(log, records))
    found = of_tensorboard(training[0] / "board" / split)
    assert {name for _, name in found} >= {"loss", "reconstruction", "feature_penalty"}
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-5, abs=1e-6), key  # six digits are logged


def wandb_records(file: Path) -> Iterator[bytes]:
    """LevelDB's log: blocks of 32 KiB, of pieces with check sum, length and place in a record."""
    raw, place, whole = file.read_bytes(), 7, b""
    while place + 7 <= len(raw):
        left = -place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", raw[place : place + 7])
        whole += raw[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield whole
            whole = b""


def of_wandb(folder: Path) -> list[dict[str, Any]]:
    """What was kept of each step, by the files of offline runs."""
    internal = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    files = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    records = [internal.Record.FromString(raw) for file in files for raw in wandb_records(file)]
    return [
        {(item.key or "/".join(item.nested_key)): json.loads(item.value_json)
         for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]  # fmt: skip


@pytest.mark.slow
def test_weights_and_biases_has_what_the_log_has(data, tmp_path):
    pytest.importorskip("wandb")
    command = train_command(
        data, tmp_path, "optimization.max_update=2", "common.log_interval=1",
        "common.wandb_project=budget", f"common.log_file={tmp_path}/train.log",
    )  # fmt: skip
    run(*command, env={"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)})
    log = read_training_log(tmp_path / "train.log")
    rows = of_wandb(tmp_path)
    for split, records in (("train_inner", log.train), ("valid", log.valid)):
        found = {
            (float(row["_step"]), re.sub(f"^{split}/", "", name)): value
            for row in rows
            for name, value in row.items()
            if name.startswith(f"{split}/")
        }
        expected = of_log(records)
        assert found.keys() - {(u, "num_updates") for u, _ in found} == expected.keys()
        for key, value in expected.items():
            assert found[key] == pytest.approx(value, rel=1e-5, abs=1e-6), key
