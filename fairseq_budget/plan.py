"""Rows of the planner's tables: what each size holds, costs, and gets for a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from fairseq_budget.flops import training_flops_per_second, updates_for_budget
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.objectives import NUM_CLASSES, Heads
from fairseq_budget.sizes import SIZES

PAPER_FLOPS = 1.33e18
PAPER_DEAD_LABELS = 104  # label embeddings that the paper's TERA holds and never uses
WARMUP_SHARE = 0.08  # the paper's 32,000 of Slim's 400,000 updates


@dataclass(frozen=True)
class PaperRun:
    """What the budget study ran for a size (Table 4 and the released configurations)."""

    max_update: int
    lr: dict[str, float]


def _run(max_update: int, tera: float, hubert: float, wav2vec2: float) -> PaperRun:
    return PaperRun(max_update, {"tera": tera, "hubert": hubert, "wav2vec2": wav2vec2})


PAPER_RUNS: dict[str, PaperRun] = {
    "slim_30": _run(550070, 5e-4, 5e-4, 4e-4),
    "slim_50": _run(499953, 5e-4, 5e-4, 4e-4),
    "slim_70": _run(454811, 5e-4, 5e-4, 4e-4),
    "small": _run(400000, 5e-4, 5e-4, 5e-4),
    "slim": _run(400000, 5e-4, 5e-4, 4e-4),
    "slim_200": _run(297370, 4e-4, 4e-4, 3e-4),
    "base": _run(187222, 3e-4, 3e-4, 2e-4),
    "large": _run(72234, 5e-5, 2e-4, 1e-4),
}


def count_parameters(
    size: str,
    objective: str = "tera",
    *,
    head: str = "cosine",
    num_classes: int = NUM_CLASSES,
    extractor_mode: str = "default",
) -> dict[str, Any]:
    """Parameters of a size, counted on the real modules (without allocating them).

    All of them: k2SSL's Zipformer has some that nothing reads, and its published counts hold them.

    ``head`` and ``num_classes`` are HuBERT's. ``paper`` is how Table 4 of the study counts: for
    TERA with label embeddings that are never used (104 x final_dim); None for the linear head, and
    for sizes that it never ran.
    """
    config = EncoderConfig(size=size, extractor_mode=extractor_mode)
    with torch.device("meta"):
        encoder = SpeechEncoder(config)
    heads = Heads(objective, head, num_classes)
    parts = {
        "encoder": sum(p.numel() for p in encoder.parameters()),
        "head": heads.num_parameters(encoder.config),
    }
    total = sum(parts.values())
    paper: int | None = total
    if size not in PAPER_RUNS:
        paper = None
    elif objective == "tera":
        paper = total + PAPER_DEAD_LABELS * SIZES[size].final_dim
    elif objective == "hubert" and (head, num_classes) != ("cosine", NUM_CLASSES):
        paper = None
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
    head: str = "cosine",
    num_classes: int = NUM_CLASSES,
    warmup_updates: int | None = None,
) -> dict[str, Any]:
    """Updates that a FLOPs budget pays for, and the epochs over ``hours`` of audio they make.

    ``gflops_per_audio_second`` is the budget's figure, forward and backward through the encoder;
    ``head_gflops_per_audio_second`` comes on top. ``frames_per_parameter`` counts frames heard.
    ``paper_updates`` stands beside the paper's own budget only.
    """
    config = EncoderConfig(size=size)
    heads = Heads(objective, head, num_classes)
    seconds_per_update = gpus * seconds_per_gpu
    updates = updates_for_budget(
        config, flops, seconds_per_update=seconds_per_update, sequence_s=sequence_s
    )
    if warmup_updates is None:
        warmup_updates = round(WARMUP_SHARE * updates)
    parameters = count_parameters(size, objective, head=head, num_classes=num_classes)["parameters"]
    seconds = updates * seconds_per_update
    paper = PAPER_RUNS.get(size)
    return {
        "size": size,
        "objective": objective,
        "parameters": parameters,
        "gflops_per_audio_second": training_flops_per_second(config, sequence_s) / 1e9,
        "head_gflops_per_audio_second": heads.training_flops_per_second(config, sequence_s) / 1e9,
        "updates": updates,
        "paper_updates": paper.max_update if paper and flops == PAPER_FLOPS else None,
        "warmup_updates": warmup_updates,
        "lr": paper.lr[objective] if paper else None,
        "epochs": seconds / 3600 / hours if hours else None,
        "frames_per_parameter": seconds * FRAME_RATE_HZ / parameters,
    }


def overrides(row: dict[str, Any]) -> str:
    """What turns a preset of the row's objective into this run, for fairseq-hydra-train.

    A size without a learning rate of its own keeps the preset's.
    """
    words = {
        "model.size": row["size"],
        "optimization.max_update": row["updates"],
        "optimization.lr": row["lr"] and f"[{row['lr']:.8f}".rstrip("0") + "]",
        "lr_scheduler.warmup_updates": row["warmup_updates"],
    }
    return " ".join(f"{key}={value}" for key, value in words.items() if value is not None)
