"""Loss and downstream scores against model size: the U-curve of runs at one budget.

"Efficient Training ... on a Compute Budget", Figure 2. A run is a folder as scripts/sweep.sh makes
it: ``checkpoint_last.pt``, ``train.log``, and ``results.json`` of `budget-downstream compare`
wherever below it, of which the first row counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Any

from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.heads import classes_of
from fairseq_budget.pretrained import Pretrained, read_pretrained
from fairseq_budget.report.training_log import Record, TrainingLog, read_training_log
from fairseq_budget.structured import Rate, Share, conform, read_json

OBJECTIVE_LOSSES = ("masked_prediction", "contrastive", "reconstruction")  # without penalties
UNEXPLAINED = "unexplained"  # a loss over that of guessing, where it is logged
LOG, LAST = "train.log", "checkpoint_last.pt"  # in a run's folder
SMOOTHING = 0.1  # the share of a run, at its end, over which its training loss is averaged


def objective_loss(record: Record) -> float | None:
    """The loss of the objective, without penalties; None where another one is trained."""
    return next((record[name] for name in OBJECTIVE_LOSSES if name in record), None)


FORECAST = ("forecast_loss", "forecast_low", "forecast_high")  # what task.forecast logs


def forecast_lines(log: TrainingLog) -> list[list[float]]:
    """Rows of update, the objective's loss, and its forecast's loss, low and high, where logged."""
    return [
        [record["num_updates"], loss, *(record[name] for name in FORECAST)]
        for record in log.valid
        if (loss := objective_loss(record)) is not None and all(n in record for n in FORECAST)
    ]


@dataclass(frozen=True, kw_only=True)
class LossRow:
    """A run's last validation: loss in nats and accuracy in per cent, beside those of guessing."""

    run: str
    updates: int
    flops: float | None = column("FLOPs")
    valid_loss: float = column("validation loss")
    chance_loss: float | None = column("of guessing")
    accuracy_percent: float | None = column("accuracy (%)")
    chance_percent: float | None = column("of guessing (%)")


def loss_row(folder: Path) -> LossRow:
    """Read a run's last validation.

    Guessing is uniform over the clusters of HuBERT, or over wav2vec 2.0's frame and distractors;
    a reconstruction has no such level.
    """
    log, checkpoint = read_training_log(folder / LOG), read_pretrained(folder / LAST)
    if not log.valid:
        raise BudgetError(f"{folder / LOG} holds no validation: let the run validate once")
    last, config = log.valid[-1], checkpoint.model_config
    loss = objective_loss(last)
    if loss is None:
        raise BudgetError(
            f"{folder / LOG} holds the loss of no objective: expected one of "
            f"{', '.join(OBJECTIVE_LOSSES)}, as TERA, HuBERT and wav2vec 2.0 log it"
        )
    accuracy = next((last[key] for key in last if key.endswith("_accuracy")), None)
    choices = classes_of(config.get("num_classes") or 1 + config.get("num_negatives", 0))
    can_guess = min(choices) > 1
    return LossRow(
        run=folder.name,
        updates=int(last["num_updates"]),
        flops=checkpoint.provenance["flops"],
        valid_loss=loss,
        chance_loss=sum(map(math.log, choices)) if can_guess else None,
        accuracy_percent=None if accuracy is None else 100 * accuracy,
        chance_percent=sum(100 / n for n in choices) / len(choices) if can_guess else None,
    )


def accuracy_curve(folder: Path) -> tuple[list[float], list[float]]:
    """FLOPs spent up to each validation of a run, and its accuracy there in per cent.

    Updates cost the same but for the ends of their sequences, so the run's FLOPs, which its
    checkpoint counts, are shared among them evenly.
    """
    log, checkpoint = read_training_log(folder / LOG), read_pretrained(folder / LAST)
    name = next((key for record in log.valid for key in record if key.endswith("_accuracy")), None)
    flops = checkpoint.provenance["flops"]
    if name is None or not flops:
        what = "validation accuracy" if name is None else "count of FLOPs"
        raise BudgetError(
            f"{folder} has no {what} to draw: leave it out, or call without --png; HuBERT and "
            "wav2vec 2.0 of this version log both"
        )
    per_update = flops / checkpoint.provenance["num_updates"]
    return [per_update * r["num_updates"] for r in log.valid], [100 * r[name] for r in log.valid]


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """The ends of paths, as many parts of each as it takes to tell them apart.

    >>> distinct_names([Path("a/tera/seed1"), Path("a/hubert/seed1")])
    ['tera/seed1', 'hubert/seed1']
    """
    parts = [folder.absolute().parts for folder in folders]
    for depth in count(1):
        names = ["/".join(own[-depth:]) for own in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


@dataclass(frozen=True)
class Run:
    """A pre-training run; ``scores`` are test accuracies in per cent, by task.

    ``flops`` is None where none were counted. A run may finish before ``max_update``, by its
    budget.
    """

    name: str
    objective: str
    parameters: int
    updates: int
    max_update: int
    is_finished: bool
    flops: float | None
    train_loss: float
    valid_loss: float | None
    scores: dict[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """One line of the table; losses and scores as they are drawn."""
        return {
            "run": self.name,
            "objective": self.objective,
            "parameters": self.parameters,
            "updates": self.updates,
            "flops": self.flops,
            **self.points(),
        }

    def points(self) -> dict[str, float]:
        """Values that are drawn against size, by the name of their panel."""
        losses = {"training loss": self.train_loss}
        if self.valid_loss is not None:
            losses["validation loss"] = self.valid_loss
        return {**losses, **self.percents()}

    def percents(self) -> dict[str, float]:
        """Scores by the names that people see."""
        return {f"{name} (%)": score for name, score in self.scores.items()}


def read_run(folder: str | Path) -> Run:
    """Read the log, the checkpoint and the scores of a run; BudgetError for what is missing."""
    folder = Path(folder)
    return run_of(folder, read_training_log(folder / LOG), read_pretrained(folder / LAST))


def run_of(folder: Path, log: TrainingLog, checkpoint: Pretrained) -> Run:
    """A run of which log and checkpoint are read; BudgetError for scores that cannot be."""
    updates = checkpoint.provenance["num_updates"]
    max_update = checkpoint.provenance["optimization"]["max_update"]
    return Run(
        name=folder.name,
        objective=checkpoint.model.removeprefix("budget_"),
        parameters=sum(weight.numel() for weight in checkpoint.state.values()),
        updates=updates,
        max_update=max_update,
        is_finished=updates >= max_update or (folder / "finished").exists(),
        flops=checkpoint.provenance["flops"],
        train_loss=_smoothed_loss(log.train),
        valid_loss=log.valid[-1]["loss"] if log.valid else None,
        scores=dict(_read_score(path) for path in sorted(folder.rglob("results.json"))),
    )


def _smoothed_loss(records: list[Record]) -> float:
    first = (1 - SMOOTHING) * records[-1]["num_updates"]
    return fmean(record["loss"] for record in records if record["num_updates"] > first)


def _read_score(path: Path) -> tuple[str, float]:
    """Task and metric, and the mean test score, in per cent, of a comparison's first upstream."""
    try:
        content = read_json(path, dict)
        runs = conform(content["runs"], list[dict[str, Any]], "runs")
        tests = [run["test"] for run in runs if run["upstream"] == runs[0]["upstream"]]
        name = f"{content['task']} {content.get('metric', 'accuracy')}"
        kind: Any = Share if content.get("higher_is_better", True) else Rate
        return name, 100 * fmean(conform(test, kind, "test") for test in tests)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise BudgetError(
            f"cannot read downstream scores from {path} ({type(error).__name__}: {error}): "
            "expected the results.json of `budget-downstream compare`"
        ) from error
