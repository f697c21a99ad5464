"""Heads that an objective puts on the shared encoder, and their cost.

TERA, HuBERT and wav2vec 2.0 in the compute-budget study differ in nothing else ("Efficient Training
... on a Compute Budget", section 3.1). Heads work on masked frames only. They stand beside the
budget's figure, not in it (see flops.py): in the study, 0.6 % of the encoder at the very most.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from fairseq_budget.budget.flops import FLOPS_PER_MAC, TRAINING_FACTOR
from fairseq_budget.errors import BudgetError, expected_one_of
from fairseq_budget.frames import SAMPLE_RATE, num_frames
from fairseq_budget.nn.config import EncoderConfig, ResolvedConfig
from fairseq_budget.nn.heads import ClusterHead, ReconstructionHead
from fairseq_budget.nn.quantizer import GumbelQuantizer
from fairseq_budget.nn.shapes import shapes_only
from fairseq_budget.papers.compute_budget import MASK_PROB, NUM_CLASSES

MASK_LENGTH = 10  # frames of a span
TARGET_DIM = 78  # TERA: two 39-dimensional MFCC frames
LATENT_VARS, LATENT_GROUPS, NUM_NEGATIVES = 320, 2, 100  # wav2vec 2.0


@dataclass(frozen=True)
class Heads:
    """The heads of one objective; ``kind`` and ``num_classes`` are HuBERT's (ClusterHead)."""

    objective: str = "tera"
    kind: str = "cosine"
    num_classes: int = NUM_CLASSES

    def __post_init__(self) -> None:
        if self.objective not in MASK_PROB:
            raise BudgetError(
                f"objective {self.objective!r}: {expected_one_of(self.objective, MASK_PROB)}"
            )

    @property
    def masked_share(self) -> float:
        """Expected share of masked frames, overlaps of spans taken off: .57 for .8, .49 for .65."""
        return 1 - (1 - MASK_PROB[self.objective] / MASK_LENGTH) ** MASK_LENGTH

    def build(self, config: ResolvedConfig) -> nn.ModuleDict:
        """The real modules, as the models of the same names build them."""
        dim, final_dim = config.output_dim, config.final_dim
        if self.objective == "tera":
            return nn.ModuleDict({"head": ReconstructionHead(dim, TARGET_DIM)})
        if self.objective == "hubert":
            classes = [self.num_classes]
            head = ClusterHead(dim, final_dim, classes, kind=self.kind, temperature=1.0)
            return nn.ModuleDict({"head": head})
        quantizer = GumbelQuantizer(
            config.conv_dim, num_vars=LATENT_VARS, groups=LATENT_GROUPS, vq_dim=final_dim
        )
        return nn.ModuleDict(
            {
                "quantizer": quantizer,
                "project_q": nn.Linear(final_dim, final_dim),
                "final_proj": nn.Linear(dim, final_dim),
            }
        )

    def num_parameters(self, config: ResolvedConfig) -> int:
        """Parameters of the heads, counted without allocating them."""
        with shapes_only():
            return sum(p.numel() for p in self.build(config).parameters())

    def macs(self, config: ResolvedConfig) -> int:
        """Forward multiply-accumulates for one masked frame, quantizer included.

        Similarities to a true and 100 negative targets count as the loss needs them; computing
        those of all pairs in a batch, as `contrastive_logits` does, is more arithmetic and faster.
        """
        dim, final_dim = config.output_dim, config.final_dim
        if self.objective == "tera":
            return dim * TARGET_DIM
        if self.objective == "hubert":
            if self.kind == "linear":
                return dim * self.num_classes
            return dim * final_dim + final_dim * self.num_classes
        quantizer = config.conv_dim * LATENT_VARS * LATENT_GROUPS + LATENT_VARS * final_dim
        similarities = (1 + NUM_NEGATIVES) * final_dim
        return quantizer + final_dim * final_dim + dim * final_dim + similarities

    def training_flops_per_second(self, config: EncoderConfig, sequence_s: float) -> float:
        """FLOPs to train the heads on one second of audio; not part of the budget's figure."""
        num_masked = self.masked_share * num_frames(round(sequence_s * SAMPLE_RATE))
        macs = self.macs(config.resolved()) * num_masked
        return TRAINING_FACTOR * FLOPS_PER_MAC * macs / sequence_s
