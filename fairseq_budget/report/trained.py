"""A run as a report shows it: what it has logged and, as far as it has, what it has saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from fairseq_budget.budget.parameters import num_encoder_parameters
from fairseq_budget.console.table import column
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.pretrained import read_pretrained
from fairseq_budget.report.alike import conditions, first_split
from fairseq_budget.report.curve import (
    LAST,
    LOG,
    UNEXPLAINED,
    Run,
    distinct_names,
    objective_loss,
    run_of,
)
from fairseq_budget.report.training_log import Record, TrainingLog, read_training_log

MIN_EPOCHS = 0.05  # from which on a log's three digits tell the corpus' length to 1 %
COMPLETE = 0.99  # of its updates, from which on a run's last validation is that of its end


@dataclass(frozen=True)
class Trained:
    """A run under the name that its report calls it by.

    `run`, `size` and `checkpoint`, its path, are None, and `provenance` and `model`, the fields of
    its config, are empty, where there is no checkpoint yet.
    """

    name: str
    log: TrainingLog
    run: Run | None = None
    size: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its end, by its updates or its budget."""
        return self.run is not None and self.run.is_finished

    @property
    def objective(self) -> str | None:
        """What it is trained for; None: it has not saved yet."""
        return self.run.objective if self.run else None

    @property
    def scores(self) -> dict[str, float]:
        """Of downstream tasks in per cent, by the names that people see."""
        return self.run.percents() if self.run else {}

    def counted(self, name: str) -> float | None:
        """Of what only grows the most that log or checkpoint knows of; None: neither does."""
        found = (self.log.train[-1].get(name), self.provenance.get(name))
        return max((float(n) for n in found if isinstance(n, int | float)), default=None)

    @cached_property
    def encoder_parameters(self) -> int:
        """Of the encoder that `model` says, its heads left out; BudgetError if it cannot be."""
        return num_encoder_parameters(EncoderConfig.from_dict(self.model))

    @property
    def conditions(self) -> str:
        """What its loss depends on (see `alike.conditions`)."""
        return conditions({**self.provenance, "model": self.model}, self.hashes("valid"))

    def hashes(self, kind: str) -> dict[str, str]:
        """Of the manifest and columns that it trains on ("train"), or first validates on."""
        sessions = self.provenance.get("sessions") or [{}]
        found: dict[str, dict[str, str]] = sessions[-1].get("data", {})
        return found.get(first_split(self.provenance, kind), {})

    @property
    def corpus_hours(self) -> float | None:
        """Hours of one epoch, by the share of epochs that a JSON log has at its last update."""
        last = self.log.train[-1]
        epochs, hours = last.get("update"), last.get("audio_hours")
        if not hours or not epochs or epochs < MIN_EPOCHS:
            return None
        return hours / epochs

    @property
    def mean_length_s(self) -> float | None:
        """Seconds of a training sequence, by what the log has counted; None: it has not."""
        last = self.log.train[-1]
        sequences = [record["bsz"] for record in self.log.train if "bsz" in record]
        if "audio_hours" not in last or not any(sequences) or not last["num_updates"]:
            return None
        return last["audio_hours"] * 3600 / (last["num_updates"] * fmean(sequences))

    @property
    def validations(self) -> list[list[float]]:
        """Pairs of a share of its updates and the objective's loss there, where it is known."""
        if self.run is None or not self.run.updates:
            return []
        losses = [(r["num_updates"] / self.run.updates, objective_loss(r)) for r in self.log.valid]
        return [[share, loss] for share, loss in losses if loss is not None and share > 0]

    @property
    def final_loss(self) -> float | None:
        """The objective's, without penalties, after the last update; None: not known, or yet."""
        if not self.is_finished or not self.validations:
            return None
        share, loss = self.validations[-1]
        return loss if share >= COMPLETE else None

    @property
    def unexplained(self) -> float | None:
        """The last validation's loss over that of guessing, where it was logged."""
        return self.log.valid[-1].get(UNEXPLAINED) if self.log.valid else None

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
    in ``checkpoints`` there. Names are those of folders and files, with as much of their paths as
    tells them apart.
    """
    files = [*(folder / LOG for folder in folders), *logs]
    names = distinct_names([log.parent if log.name == LOG else log for log in files])
    return list(map(_read, files, names))


def _read(log_file: Path, name: str) -> Trained:
    log, folder = read_training_log(log_file), log_file.parent
    found = [path for path in (folder / LAST, folder / "checkpoints" / LAST) if path.is_file()]
    if not found:
        return Trained(name, log)
    checkpoint = read_pretrained(found[0])
    run = replace(run_of(folder, log, checkpoint), name=name)
    own = (checkpoint.encoder.size, checkpoint.provenance, checkpoint.model_config, found[0])
    return Trained(name, log, run, *own)
