"""What a run of s3prl has left in its folder: scores, and the weights of layers.

It evaluates validation and test together as it trains; the score of a run is the test score at its
best validation score, the first of equals, which is where s3prl keeps ``dev-best.ckpt``. Which
number that is, and whether more or less of it is better, the task says (tasks.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fairseq_budget.downstream.tasks import Metric, Task
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.pretrained.inert import load_inert
from fairseq_budget.structured import Range, Rate, conform
from fairseq_budget.upstream.scalars import SCALARS_FILE, read_scalars


@dataclass(frozen=True)
class Score:
    """The best evaluation of one run: the update it was made at, and the task's first metric.

    All are shares, 1 the whole. ``others`` are the test's other metrics by their names.
    """

    update: Annotated[int, Range(0, 1 << 53)]
    valid: Rate
    test: Rate
    others: dict[str, Rate] = field(default_factory=dict)


def read_score(folder: Path, task: Task, fold: int | None = None) -> Score:
    """The best evaluation of s3prl's run in a folder, of a fold (None: s3prl's own, the first).

    Raises BudgetError where there is none.
    """
    with reading(folder / SCALARS_FILE, "remove it and train again"):
        scalars = read_scalars(folder)
        valid, test = (
            [_values(scalars, metric, split, fold or 1) for metric in task.metrics]
            for split in task.evaluated
        )
    both = sorted(valid[0].keys() & test[0].keys())
    if not both:
        raise BudgetError(
            f"{folder / SCALARS_FILE} has no evaluation of {' and '.join(task.evaluated)}; train "
            "for more updates"
        )
    sign = 1 if task.metrics[0].higher_is_better else -1
    best = max(both, key=lambda update: sign * valid[0][update])  # the first of equals
    others = {
        metric.name: values[best] for metric, values in zip(task.metrics[1:], test[1:], strict=True)
    }
    return Score(best, valid[0][best], test[0][best], others)


def read_layer_weights(folder: Path, update: int) -> list[float] | None:
    """The share of each layer in the sum that s3prl learned, at its best update; None of one layer.

    The first is the encoder's input. s3prl keeps no best one where it evaluates test alone, but
    its states at each update that it saves.
    """
    states = [folder / f"states-{update}.ckpt", *folder.glob("states-*.ckpt")]
    kept = [*folder.glob("*best*.ckpt"), *filter(Path.is_file, states)]
    if not kept:
        return None
    weights = load_inert(kept[0]).get("Featurizer", {}).get("weights")
    return None if weights is None else [round(w, 4) for w in weights.softmax(0).tolist()]


def _values(
    scalars: dict[str, dict[int, float]], metric: Metric, split: str, fold: int
) -> dict[int, float]:
    scale = 0.01 if metric.percent else 1
    tag = metric.tag.format(split=split, fold=fold)
    found = scalars.get(tag, {})
    return {update: conform(scale * value, metric.kind, tag) for update, value in found.items()}
