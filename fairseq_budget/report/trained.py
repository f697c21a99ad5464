"""A run as a report shows it: what it has logged and, as far as it has, what it has saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_budget.console.table import column
from fairseq_budget.pretrained import read_pretrained
from fairseq_budget.report.curve import LAST, LOG, Run, run_of
from fairseq_budget.report.training_log import Record, TrainingLog, read_training_log


@dataclass(frozen=True)
class Trained:
    """A run under the name that its report calls it by.

    `run` and `size` are None, and `provenance` and `model`, the fields of its config, are empty,
    where there is no checkpoint yet.
    """

    name: str
    log: TrainingLog
    run: Run | None = None
    size: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)

    def counted(self, name: str) -> float | None:
        """Of what only grows the most that log or checkpoint knows of; None: neither does."""
        found = (self.log.train[-1].get(name), self.provenance.get(name))
        return max((float(n) for n in found if isinstance(n, int | float)), default=None)

    def flops_at(self, records: Sequence[Record]) -> list[float]:
        """FLOPs spent up to each record, between those that were logged; empty: none were."""
        known = [(r["num_updates"], r["flops"]) for r in self.log.train if "flops" in r]
        if not known:
            return []
        updates, flops = zip((0.0, 0.0), *known, strict=True)
        return list(np.interp([record["num_updates"] for record in records], updates, flops))


@dataclass(frozen=True, kw_only=True)
class TrainedRow:
    """What was trained, and for how much."""

    run: str
    objective: str | None = column(default=None, optional=True)
    size: str | None = column(default=None, optional=True)
    parameters: int | None = column(default=None, optional=True)
    updates: int
    max_update: int | None = column("of", default=None, optional=True)
    audio_hours: float | None = column("audio (h)", digits=2, optional=True)
    flops: float | None = column("FLOPs", optional=True)
    share_of_peak: float | None = column(percent=True, optional=True)
    wall_hours: float | None = column("wall time (h)", digits=2, optional=True)
    train_loss: float = column("training loss")
    valid_loss: float | None = column("validation loss", optional=True)


def trained_row(trained: Trained) -> TrainedRow:
    """A line of the first table; losses are the last that were logged."""
    log, run, last = trained.log, trained.run, trained.log.train[-1]
    saved: dict[str, Any] = {}
    if run is not None:
        saved = {name: getattr(run, name) for name in ("objective", "parameters", "max_update")}
    return TrainedRow(
        run=trained.name,
        size=trained.size,
        updates=int(trained.counted("num_updates") or 0),
        audio_hours=trained.counted("audio_hours"),
        flops=trained.counted("flops"),
        share_of_peak=last.get("share_of_peak"),
        wall_hours=last["wall"] / 3600 if "wall" in last else None,
        train_loss=last["loss"],
        valid_loss=log.valid[-1]["loss"] if log.valid else None,
        **saved,
    )


def read_trained(folders: Sequence[Path], logs: Sequence[Path] = ()) -> list[Trained]:
    """Runs from their folders, or from their logs; BudgetError for what cannot be read.

    A folder has ``train.log``; once a run has saved, ``checkpoint_last.pt`` lies beside its log or
    in ``checkpoints`` there. Names are those of folders and files, or the whole path where two are
    alike.
    """
    files = [*(folder / LOG for folder in folders), *logs]
    names = [_name(log) for log in files]
    return [
        _read(log, name if names.count(name) == 1 else str(log))
        for log, name in zip(files, names, strict=True)
    ]


def _name(log: Path) -> str:
    return log.absolute().parent.name if log.name == LOG else log.stem


def _read(log_file: Path, name: str) -> Trained:
    log, folder = read_training_log(log_file), log_file.parent
    found = [path for path in (folder / LAST, folder / "checkpoints" / LAST) if path.is_file()]
    if not found:
        return Trained(name, log)
    checkpoint = read_pretrained(found[0])
    run = replace(run_of(folder, log, checkpoint), name=name)
    own = (checkpoint.encoder.size, checkpoint.provenance, checkpoint.model_config)
    return Trained(name, log, run, *own)
