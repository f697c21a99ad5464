"""Warnings for a learning-rate schedule that will not run to its end."""

from __future__ import annotations

from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.nn.config import EncoderConfig

TOLERANCE = 0.05
"""How far updates and budget may be apart: the audio in an update is only known on average."""


def check_schedule(
    config: EncoderConfig,
    *,
    max_update: int,
    total_num_update: float,
    seconds_per_update: float,
    sequence_s: float,
    budget_flops: float | None = None,
    warmup_updates: int = 0,
) -> list[str]:
    """Warnings for a learning-rate schedule that will not run to its end; empty if all fits.

    total_num_update: the update at which the schedule has decayed. seconds_per_update: audio heard
    in one, over all workers and accumulation steps; sequence_s: the mean length of a sequence.
    """
    warnings = []
    if 0 < max_update <= warmup_updates:
        warnings.append(
            f"lr_scheduler.warmup_updates={warmup_updates} is not less than optimization.max_update"
            f"={max_update}: the learning rate would never reach its peak"
        )
    if max_update > 0 and total_num_update != max_update:
        warnings.append(_unfinished(total_num_update, max_update))
    if budget_flops:
        per_update = training_flops_per_second(config, sequence_s) * seconds_per_update
        paid = round(budget_flops / per_update)
        if max_update <= 0 or abs(paid / max_update - 1) > TOLERANCE:
            warnings.append(_unpaid(config, budget_flops, paid, max_update, per_update))
    return warnings


def _unfinished(total_num_update: float, max_update: int) -> str:
    wrong = (
        "the schedule would be cut in mid-decay"
        if total_num_update > max_update
        else "the learning rate would stay at its end for the rest"
    )
    return (
        f"lr_scheduler.total_num_update={total_num_update:.0f} but optimization.max_update="
        f"{max_update}: {wrong}; leave total_num_update to the preset, which follows max_update"
    )


def _unpaid(
    config: EncoderConfig, budget_flops: float, paid: int, max_update: int, per_update: float
) -> str:
    costs = f"task.budget_flops={budget_flops:.4g} pays for {paid} updates of this model.size="
    costs += f"{config.size} ({per_update:.3g} FLOPs each)"
    cure = f"set optimization.max_update={paid}, as `budget-plan updates --overrides` prints it"
    if max_update <= 0:
        return f"{costs}, but optimization.max_update={max_update} sets no schedule: {cure}"
    if paid < max_update:
        wrong = f"training would stop there, {1 - paid / max_update:.0%} before the schedule's end"
    else:
        wrong = f"training would end with {1 - max_update / paid:.0%} of the budget unspent"
    return f"{costs}, but optimization.max_update={max_update}: {wrong}; {cure}"
