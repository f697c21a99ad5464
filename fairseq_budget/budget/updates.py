"""Rows of the planner's tables: what each size holds, costs, and gets for a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairseq_budget.budget.families import find_encoder, model_overrides
from fairseq_budget.budget.flops import training_flops_per_second, updates_for_budget
from fairseq_budget.budget.objectives import Heads
from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.papers.compute_budget import NUM_CLASSES, PAPER_FLOPS, PAPER_RUNS, WARMUP_SHARE


@dataclass(frozen=True, kw_only=True)
class UpdatePlan:
    """Updates that a FLOPs budget buys for a size, and their time on a measured machine.

    `gflops_per_audio_second` is the budget's figure, forward and backward through the encoder; the
    heads' comes on top. `frames_per_parameter` counts frames heard. `paper_updates` stands beside
    the paper's own budget only. `overrides` turn a preset of the objective into this run; a size
    without a learning rate of its own keeps the preset's.
    """

    size: str
    objective: str
    parameters: int
    gflops_per_audio_second: float = column("GFLOP/s of audio")
    head_gflops_per_audio_second: float = column("heads'")
    updates: int
    update_flops: float = column(hidden=True)
    paper_updates: int | None = column("paper's")
    warmup_updates: int = column("warm-up")
    lr: float | None
    epochs: float | None
    frames_per_parameter: float = column("frames/parameter")
    hours: float | None = None
    memory_gib: float | None = column("GiB", default=None)
    precision: str | None = None
    overrides: str = column(default="", hidden=True)
    recommendation: str | None = column(default=None, hidden=True)


def plan_updates(
    size: str,
    *,
    flops: float,
    gpus: int,
    seconds_per_gpu: float,
    sequence_s: float,
    hours: float | None,
    objective: str = "tera",
    head: str = "cosine",
    num_classes: int = NUM_CLASSES,
    warmup_updates: int | None = None,
) -> UpdatePlan:
    """Updates that a FLOPs budget pays for, and the epochs over ``hours`` of audio they make."""
    config = find_encoder(size)
    heads = Heads(objective, head, num_classes)
    seconds_per_update = gpus * seconds_per_gpu
    updates = updates_for_budget(
        config, flops, seconds_per_update=seconds_per_update, sequence_s=sequence_s
    )
    if warmup_updates is None:
        warmup_updates = round(WARMUP_SHARE * updates)
    per_second = training_flops_per_second(config, sequence_s)
    parameters = count_parameters(size, objective, head=head, num_classes=num_classes).parameters
    seconds = updates * seconds_per_update
    paper = PAPER_RUNS.get(size)
    lr = paper.lr[objective] if paper else None
    return UpdatePlan(
        size=size,
        objective=objective,
        parameters=parameters,
        gflops_per_audio_second=per_second / 1e9,
        head_gflops_per_audio_second=heads.training_flops_per_second(config, sequence_s) / 1e9,
        updates=updates,
        update_flops=per_second * seconds_per_update,
        paper_updates=paper.max_update if paper and flops == PAPER_FLOPS else None,
        warmup_updates=warmup_updates,
        lr=lr,
        epochs=seconds / 3600 / hours if hours else None,
        frames_per_parameter=seconds * FRAME_RATE_HZ / parameters,
        overrides=_overrides(size, updates, lr, warmup_updates),
    )


def pays_for(
    rows: Sequence[UpdatePlan], flops: float, *, all_of_them: bool = False
) -> list[UpdatePlan]:
    """The rows for which the budget buys an update, at least.

    Raises BudgetError, with the least budget that does, if there are none, or other ones, too.
    """
    bought = [row for row in rows if row.updates]
    if not bought or (all_of_them and len(bought) < len(rows)):
        enough = max if all_of_them else min
        row = enough(rows, key=lambda row: row.update_flops)
        raise BudgetError(
            f"--flops {flops:g} pays for no update of {row.size}: one costs {row.update_flops:.2g} "
            f"FLOPs; give that or more, a smaller --size, or fewer "
            "--seconds-per-gpu"
        )
    return bought


def _overrides(size: str, updates: int, lr: float | None, warmup_updates: int) -> str:
    words = {
        **model_overrides(find_encoder(size)),
        "optimization.max_update": updates,
        "optimization.lr": lr and f"[{lr:.8f}".rstrip("0") + "]",
        "lr_scheduler.warmup_updates": warmup_updates,
    }
    return " ".join(f"{key}={value}" for key, value in words.items() if value is not None)
