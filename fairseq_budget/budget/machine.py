"""Measurements of ``budget-plan measure``, kept in one json file of the user's cache folder.

    {machine: {"peak_flops": {precision: FLOP/s}, "encoders": {size: {precision: {...}}}}}

Machines are named by `machine_name`, so a file in a shared home serves every node.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.budget.memory import BYTES_PER_PARAMETER
from fairseq_budget.budget.timing import (
    Measurement,
    default_device,
    machine_name,
    measure_encoder,
    measure_peak_flops,
    precisions,
    require_device,
    run_apart,
)
from fairseq_budget.budget.updates import UpdatePlan
from fairseq_budget.console.progress import Progress
from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import write_json
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.structured import Range, read_json


@dataclass(frozen=True)
class Machine:
    """What was measured on one: FLOP/s by precision, encoders by size and precision."""

    peak_flops: dict[str, Annotated[float, Range(1, 1e30)]] = field(default_factory=dict)
    encoders: dict[str, dict[str, Measurement]] = field(default_factory=dict)


def cache_file() -> Path:
    """``$XDG_CACHE_HOME/fairseq_budget/measurements.json``, by default below ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "fairseq_budget" / "measurements.json"


def read_measurements() -> dict[str, Machine]:
    """All machines; empty before the first measurement. BudgetError if the file is damaged."""
    path = cache_file()
    try:
        content: dict[str, Machine] = read_json(path, dict[str, Machine])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BudgetError(
            f"cannot read the measurements in {path} ({error}): remove the file and run "
            "`budget-plan measure` again"
        ) from error
    return content


def store_measurements(
    machine: str, peaks: dict[str, float], measurements: Iterable[Measurement]
) -> Path:
    """Add to what is known of a machine; newer values replace older ones. Returns the file."""
    content = read_measurements()
    known = content.setdefault(machine, Machine())
    known.peak_flops.update(peaks)
    for found in measurements:
        known.encoders.setdefault(found.size, {})[found.precision] = found
    stored = {name: asdict(each) for name, each in content.items()}
    write_json(cache_file(), stored)
    return cache_file()


def find_machine(name: str | None = None) -> tuple[str, Machine] | None:
    """The named machine, else this one, else the only one that was measured; None if there is none.

    Raises BudgetError for a name that was never measured.
    """
    machines = read_measurements()
    if name is not None and name not in machines:
        raise BudgetError(
            f"no measurements of {name!r}; measured: {', '.join(map(repr, machines)) or 'none'}"
        )
    here = machine_name(default_device()) if name is None else name
    if here not in machines and len(machines) == 1:
        here = next(iter(machines))
    return (here, machines[here]) if here in machines else None


def measured_peak_flops(precision: str, device: str | None = None) -> float | None:
    """The matrix-product peak of this machine in FLOP/s, or None where it was never measured."""
    machine = read_measurements().get(machine_name(device or default_device()), Machine())
    return machine.peak_flops.get(precision)


def measure_machine(
    sizes: Sequence[str], *, device: str, seconds: float, sequence_s: float
) -> tuple[str, list[str]]:
    """Measure the machine's peak and each size in each precision, and store them one by one.

    Returns the machine's name, and what was left out because memory did not suffice.
    """
    require_device(device)
    machine, kinds = machine_name(device), precisions(device)
    peaks = {kind: measure_peak_flops(kind, device=device) for kind in kinds}
    store_measurements(machine, peaks, [])
    left_out = []
    for size, kind in Progress([(size, kind) for size in sizes for kind in kinds]):
        found = _measure_apart(size, kind, device=device, seconds=seconds, sequence_s=sequence_s)
        if found is None:
            left_out.append(f"{size}, {kind}")
        else:
            store_measurements(machine, {}, [found])  # at once: an interruption loses one only
    return machine, left_out


def _measure_apart(size: str, precision: str, **options: Any) -> Measurement | None:
    return run_apart(measure_encoder, size, precision, **options)


@dataclass(frozen=True)
class MeasuredRow:
    """One size in one precision on a machine; `share_of_peak` is of its matrix products'.

    It is None where these were not measured.
    """

    size: str
    precision: str
    audio_seconds: float = column("s of audio")
    update_s: float = column("s per update")
    peak_gib: float = column("GiB")
    tflops_per_second: float = column("TFLOP/s")
    share_of_peak: float | None = column("of peak")


@dataclass(frozen=True)
class Prediction:
    """Time and memory of a plan on a machine, in its fastest precision; None: not measured."""

    hours: float | None = None
    memory_gib: float | None = None
    precision: str | None = None


def measured_rows(machine: str, sizes: Sequence[str]) -> list[MeasuredRow]:
    """Measurements of some sizes on a machine."""
    known = read_measurements()[machine]
    found = [each for size in sizes for each in known.encoders.get(size, {}).values()]
    peaks = known.peak_flops
    return [
        MeasuredRow(
            m.size,
            m.precision,
            m.audio_seconds,
            m.update_s,
            m.peak_bytes / 2**30,
            m.flops_per_second / 1e12,
            m.flops_per_second / peaks[m.precision] if m.precision in peaks else None,
        )
        for m in found
    ]


def advice(machine: Machine, sizes: Sequence[str]) -> list[str]:
    """A line for each size that was measured in several precisions: the fastest one, and why."""
    lines, peaks = [], machine.peak_flops
    for size in sizes:
        found = machine.encoders.get(size, {})
        if "fp32" not in found or len(found) == 1:
            continue
        rates = {kind: m.audio_seconds / m.update_s for kind, m in found.items()}
        best = max(rates, key=lambda kind: rates[kind])
        others = [kind for kind in rates if kind != best]
        times = f"{rates[best] / max(rates[kind] for kind in others):.2f} times as fast as the next"
        why = ""
        if best != "fp32" and {best, "fp32"} <= set(peaks):
            why = f" (matrix products: {peaks[best] / peaks['fp32']:.2f} times fp32's)"
        setting = "float32" if best == "fp32" else f"common.{best}=true"
        lines.append(f"{size}: train with {setting}, {times}{why}")
    return lines


def training_hours(
    machine: Machine | None, encoder: EncoderConfig, flops: float, sequence_s: float, gpus: int = 1
) -> float | None:
    """Hours of a training of ``flops`` FLOPs, at the speed of the encoder measured nearest to it.

    Nearest in the cost of a second of audio: small matrices are slower. None: nothing measured.
    """
    kinds = [kinds.values() for kinds in machine.encoders.values()] if machine else []
    fastest = [max(each, key=lambda m: m.flops_per_second) for each in kinds if each]
    cost = training_flops_per_second(encoder, sequence_s)
    nearest = min(fastest, key=lambda m: abs(m.flops_per_audio_second - cost), default=None)
    if nearest is None or not nearest.flops_per_second:
        return None
    return flops / nearest.flops_per_second / gpus / 3600


def predict(machine: Machine, plan: UpdatePlan, seconds_per_gpu: float) -> Prediction:
    """Predict the time and memory of a row of the plan.

    Time grows with the seconds of audio, memory too but for weights and optimizer. GPUs work side
    by side; exchange of gradients, validation and checkpoints come on top.
    """
    found = list(machine.encoders.get(plan.size, {}).values())
    if not found:
        return Prediction()
    best = min(found, key=lambda m: m.update_s / m.audio_seconds)
    share = seconds_per_gpu / best.audio_seconds
    fixed = BYTES_PER_PARAMETER * plan.parameters
    return Prediction(
        hours=plan.updates * best.update_s * share / 3600,
        memory_gib=(fixed + max(0, best.peak_bytes - fixed) * share) / 2**30,
        precision=best.precision,
    )
