"""The size to train with a budget, and why, in sentences computed from the plan's rows.

What the study found ("Efficient Training ... on a Compute Budget"): at 1.33e18 FLOPs the curve of
loss and scores over size is a U, lowest near Slim 200 % (Figure 2; for HuBERT's recognition errors
at Slim), at half of that budget one size lower; a narrow and deep encoder beats a wide one of
three layers at the same cost (Table 2); speech that is repeated hundreds of times costs more than
any choice of size (Table 3). From budget to budget we carry over frames heard per parameter, as
compute-optimal language models keep tokens per parameter: our extrapolation, and it says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fairseq_budget.budget.families import size_of
from fairseq_budget.budget.updates import UpdatePlan, plan_updates
from fairseq_budget.papers.compute_budget import (
    BEST_SIZE,
    MOST_EPOCHS,
    PAPER_FLOPS,
    WORD_ERRORS,
    ZIPFORMERS,
)
from fairseq_budget.sizes import ZIPFORMER_SIZES


def recommend(
    rows: Sequence[UpdatePlan], *, flops: float, sequence_s: float, hours: float | None
) -> tuple[UpdatePlan, str]:
    """The row of one objective's plan to train, and the reason."""
    best = _frames_per_parameter_of_the_best(rows[0].objective, sequence_s)
    # what the study did not run, or a wide, three-layer encoder, only if there is nothing else
    ranked = [row for row in rows if size_of(row.size) not in ZIPFORMER_SIZES] or list(rows)
    candidates = [row for row in ranked if size_of(row.size) != "small"] or ranked
    row = min(candidates, key=lambda row: abs(math.log(row.frames_per_parameter / best)))
    reasons = [_size_reason(row, best, flops), *_data_reason(row, hours)]
    if len(candidates) < len(ranked):
        small, slim = WORD_ERRORS[row.objective]
        reasons.append(
            f"small is passed over: at its cost, slim had {slim} % word errors, not {small}."
        )
    if any(row.size in ZIPFORMER_SIZES for row in rows):
        reasons.append(ZIPFORMERS)
    return row, " ".join(reasons)


def _frames_per_parameter_of_the_best(objective: str, sequence_s: float) -> float:
    row = plan_updates(
        BEST_SIZE, flops=PAPER_FLOPS, gpus=2, seconds_per_gpu=78.03,
        sequence_s=sequence_s, hours=None, objective=objective,
    )  # fmt: skip
    return row.frames_per_parameter


def _size_reason(row: UpdatePlan, best: float, flops: float) -> str:
    reason = (
        f"{row.size} would hear {row.frames_per_parameter:.3g} frames per parameter, the "
        f"nearest of these sizes to the {best:.3g} of the study's optimum ({BEST_SIZE} at "
        f"{PAPER_FLOPS:g} FLOPs, and slim close to it)."
    )
    ratio = flops / PAPER_FLOPS
    if 0.4 < ratio < 2.5:
        return reason
    return (
        f"{reason} The study ran no budget like this one ({ratio:.2g} times its own), so this is "
        "an extrapolation: sweep the neighbouring sizes."
    )


def _data_reason(row: UpdatePlan, hours: float | None) -> list[str]:
    if not hours or row.epochs is None:
        return []
    heard = f"{hours:g} hours would be heard {row.epochs:.3g} times"
    if row.epochs <= MOST_EPOCHS:
        return [f"{heard}, no more than in the study (3.25 to {MOST_EPOCHS} times)."]
    return [
        f"{heard}: more speech would help more than another size (in the study, wav2vec 2.0 slim "
        "made 17.0 % word errors with 960 hours, heard 18 times, 18.7 with 100 hours, heard 173 "
        "times, and 23.9 with 10 hours)."
    ]
