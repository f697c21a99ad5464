"""Parameters, counted on the real modules without allocating them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from torch import nn

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.budget.objectives import Heads
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.shapes import shapes_only
from fairseq_budget.papers.compute_budget import NUM_CLASSES, PAPER_DEAD_LABELS, PAPER_RUNS
from fairseq_budget.sizes import SIZES


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of a size under an objective, of its `encoder` and of its `head`.

    `paper` is how Table 4 of the compute-budget study counts: for TERA with label embeddings that
    are never used (104 x final_dim); None for the linear head, and for sizes that it never ran.
    """

    size: str
    objective: str
    encoder: int
    head: int
    parameters: int
    paper: int | None


@functools.cache
def count_parameters(
    size: str,
    objective: str = "tera",
    *,
    head: str = "cosine",
    num_classes: int = NUM_CLASSES,
    extractor_mode: str | None = None,
) -> ParameterCount:
    """Parameters of a size, counted on the real modules (without allocating them).

    ``size`` is any name that `find_encoder` knows. All of them: k2SSL's Zipformer has some that
    nothing reads, and its published counts hold them. ``head`` and ``num_classes`` are HuBERT's.
    """
    config = find_encoder(size)
    if extractor_mode is not None:
        config = replace(config, extractor_mode=extractor_mode)
    encoder, own = count_parts(config, Heads(objective, head, num_classes))
    total = encoder + own
    paper: int | None = total
    if size not in PAPER_RUNS:
        paper = None
    elif objective == "tera":
        paper = total + PAPER_DEAD_LABELS * SIZES[size].final_dim
    elif objective == "hubert" and (head, num_classes) != ("cosine", NUM_CLASSES):
        paper = None
    return ParameterCount(size, objective, encoder, own, parameters=total, paper=paper)


def count_parts(config: EncoderConfig, heads: Heads) -> tuple[int, int]:
    """Parameters of the real encoder and of the heads on it; none is allocated."""
    with shapes_only():
        encoder = SpeechEncoder(config)
    return num_parameters(encoder), heads.num_parameters(encoder.config)


def num_encoder_parameters(config: EncoderConfig) -> int:
    """Trainable parameters of the real encoder, upsampling included, heads not; none allocated."""
    with shapes_only():
        return num_trainable(SpeechEncoder(config))


def num_parameters(module: nn.Module) -> int:
    """All parameters of a module."""
    return sum(p.numel() for p in module.parameters())


def num_trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
