"""Seconds and memory of training batches of several lengths, measured on this machine.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio", Tables 2 and 3. What is timed is the encoder, which all objectives share (timing.py); mixed
precision is fp16, and on a GPU only. Every cell has a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairseq_budget.budget.lengths import LengthRow
from fairseq_budget.budget.task_training import TaskRow, measure_downstream
from fairseq_budget.budget.timing import measure_encoder, require_device, run_apart

OOM = "OOM"


def measure_lengths(rows: Iterable[LengthRow], size: str, *, device: str) -> Iterator[LengthRow]:
    """The rows with what was measured, one by one.

    OOM where memory ran out, and on a CPU where the closed form says that it would: there it would
    take other programs along. None: not measured. Raises BudgetError where there is no such device.
    """
    require_device(device)
    for row in rows:
        cells = _measure_cell(row, size, "fp32", device)
        if device != "cpu":
            cells |= _measure_cell(row, size, "mixed", device)
        yield replace(row, **cells)


def measure_tasks(rows: Iterable[TaskRow], size: str, *, device: str) -> Iterator[TaskRow]:
    """The same for downstream tasks."""
    require_device(device)
    for row in rows:
        found = None
        if _fits(row.fp32_gib, device):
            options = {"frozen": row.frozen, "device": device}
            found = run_apart(measure_downstream, row.task, size, **options)
        yield replace(row, **_cells("fp32", *(found or (None, None))))


def _measure_cell(row: LengthRow, size: str, name: str, device: str) -> dict[str, Any]:
    found = None
    if _fits({"fp32": row.fp32_gib, "mixed": row.mixed_gib}[name], device):
        options = {"seconds": row.batch * row.length_s, "sequence_s": row.length_s}
        precision = {"fp32": "fp32", "mixed": "fp16"}[name]
        found = run_apart(measure_encoder, size, precision, device=device, **options)
    return _cells(name, *((found.update_s, found.peak_bytes) if found else (None, None)))


def _cells(name: str, update_s: float | None, peak_bytes: int | None) -> dict[str, Any]:
    if update_s is None or peak_bytes is None:
        return {f"{name}_s": OOM, f"{name}_peak_gib": OOM}
    return {f"{name}_s": update_s, f"{name}_peak_gib": peak_bytes / 2**30}


def _fits(gib: float, device: str) -> bool:
    """Whether this much memory is free; a GPU may simply be asked."""
    if device != "cpu":
        return True
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").split("\n")
    except OSError:  # not Linux
        return True
    available = next(line for line in lines if line.startswith("MemAvailable:"))
    return gib * 2**20 < int(available.split()[1])  # in kB
