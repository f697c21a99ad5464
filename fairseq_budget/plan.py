"""Rows of the planner's tables: what each size holds, costs, and gets for a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from fairseq_budget.flops import training_flops_per_second, updates_for_budget
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.heads import ReconstructionHead
from fairseq_budget.sizes import SIZES

PAPER_TARGET_DIM = 78  # two 39-dimensional MFCC frames
PAPER_DEAD_LABELS = 104  # label embeddings that the paper's TERA holds and never uses


@dataclass(frozen=True)
class PaperRun:
    """What the budget study ran for a size (Table 4 and the released configurations)."""

    max_update: int
    lr: dict[str, float]


PAPER_RUNS: dict[str, PaperRun] = {
    "slim_30": PaperRun(550070, {"tera": 5e-4}),
    "slim_50": PaperRun(499953, {"tera": 5e-4}),
    "slim_70": PaperRun(454811, {"tera": 5e-4}),
    "small": PaperRun(400000, {"tera": 5e-4}),
    "slim": PaperRun(400000, {"tera": 5e-4}),
    "slim_200": PaperRun(297370, {"tera": 4e-4}),
    "base": PaperRun(187222, {"tera": 3e-4}),
    "large": PaperRun(72234, {"tera": 5e-5}),
}


def count_parameters(size: str, objective: str = "tera") -> dict[str, Any]:
    """Trainable parameters of a size, counted on the real modules (without allocating them).

    ``paper`` adds the unused label embeddings (104 x final_dim) that the paper's Table 4 counts.
    """
    if objective != "tera":
        raise ValueError(f"objective {objective!r}: expected 'tera'")
    with torch.device("meta"):
        encoder = SpeechEncoder(EncoderConfig(size=size))
        head = ReconstructionHead(encoder.config.encoder_embed_dim, PAPER_TARGET_DIM)
    parts = {
        name: sum(p.numel() for p in module.parameters() if p.requires_grad)
        for name, module in (("encoder", encoder), ("head", head))
    }
    total = sum(parts.values())
    paper = total + PAPER_DEAD_LABELS * SIZES[size].final_dim
    return {"size": size, "objective": objective, **parts, "parameters": total, "paper": paper}


def plan_updates(
    size: str,
    *,
    flops: float,
    gpus: int,
    seconds_per_gpu: float,
    sequence_s: float,
    hours: float | None,
    objective: str = "tera",
) -> dict[str, Any]:
    """Updates that a FLOPs budget pays for, and the epochs over ``hours`` of audio they make."""
    config = EncoderConfig(size=size)
    seconds_per_update = gpus * seconds_per_gpu
    updates = updates_for_budget(
        config, flops, seconds_per_update=seconds_per_update, sequence_s=sequence_s
    )
    per_second = training_flops_per_second(config, sequence_s)
    paper = PAPER_RUNS.get(size)
    return {
        "size": size,
        "parameters": count_parameters(size, objective)["parameters"],
        "gflops_per_audio_second": per_second / 1e9,  # training: forward and backward
        "updates": updates,
        "paper_updates": paper.max_update if paper else None,
        "lr": paper.lr[objective] if paper else None,
        "epochs": updates * seconds_per_update / 3600 / hours if hours else None,
    }
