"""Pilot runs that follow a law: as points, and as folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fairseq_budget.forecast.law import Law
from fairseq_budget.forecast.points import Point

TRUE = Law(1.7, 400.0, 0.34, 2000.0, 0.37)
SIZES = (4e5, 8e5, 1.6e6, 3.2e6)  # at the least budget; twice as large at each of the next two
BUDGETS = (1e15, 4e15, 1.6e16)
FLOPS_PER_FRAME = 12  # for each parameter


def points(
    law: Law = TRUE,
    *,
    noise: float = 0.0,
    seed: int = 0,
    unique: float | None = None,
    **fields: Any,
) -> list[Point]:
    """Twelve runs, four sizes at each of three budgets."""
    generator = np.random.default_rng(seed)
    made = []
    for place, flops in enumerate(BUDGETS):
        for size in SIZES:
            parameters = round(size * 2**place)
            frames = flops / (FLOPS_PER_FRAME * parameters)
            loss = law.loss(parameters, frames, unique or np.inf)
            loss *= np.exp(noise * generator.standard_normal())
            own: dict[str, Any] = {
                "name": f"{parameters}_{flops:g}", "objective": "tera", "parameters": parameters,
                "frames": frames, "unique_frames": unique, "flops": flops,
                "valid_loss": float(loss), "conditions": "task.mask_prob=0.8",
            }  # fmt: skip
            made.append(Point(**{**own, **fields}))
    return made


def write_pilot(folder: Path, *, losses: dict[int, float], **changes: Any) -> Path:
    """A run of TERA of 20 updates: the objective's loss by update, penalties on top.

    changes: of the fields of its config, and of its state; `epochs` that it has heard, what else it
    has `logged`, and fields of its `task`.
    """
    folder.mkdir(parents=True)
    train = {"epoch": 2, "loss": "2.5", "num_updates": "20", "audio_hours": "1.0"}
    train |= {"update": changes.pop("epochs", 2.5), **changes.pop("logged", {})}
    valid = [
        {"epoch": 1, "valid_loss": str(loss + 1), "valid_reconstruction": str(loss),
         "valid_unexplained": "0.9", "valid_num_updates": str(update)}
        for update, loss in losses.items()
    ]  # fmt: skip
    (folder / "train.log").write_text("\n".join(map(json.dumps, [train, *valid])))
    hashes = {"valid": {"manifest": "a" * 64}, "train": {"manifest": "b" * 64}}
    own = {
        "size": "tiny", "mask_prob": 0.8, "updates": 20, "data": hashes, "_name": "budget_tera",
        "target": "mfcc", "flops": 1e12, "seed": 3, "task": {}, **changes,
    }  # fmt: skip
    model = {name: own[name] for name in ("_name", "size", "target")}
    checkpoint = {
        "cfg": {
            "model": model,
            "task": {"mask_prob": own["mask_prob"], "seed": own["seed"], **own["task"]},
            "criterion": {},
            "optimization": {"max_update": 20},
            "common": {"seed": own["seed"]},
            "lr_scheduler": {"_name": "polynomial_decay"},
        },
        "model": {"head.weight": torch.zeros(7)},
        "optimizer_history": [{"num_updates": own["updates"]}],
        "task_state": {"audio_hours": 1.0, "flops": own["flops"]},
        "sessions": [{"data": own["data"], "commit": None}],
    }
    torch.save(checkpoint, folder / "checkpoint_last.pt")
    return folder
