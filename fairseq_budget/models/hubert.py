"""HuBERT: predict the cluster of masked frames, by cosine similarity or by a linear layer."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from fairseq.models import register_model
from torch import Tensor

from fairseq_budget.data.audio_dataset import wave_from_bits
from fairseq_budget.models._base import (
    BudgetModel,
    common_output,
    masked_frames,
    noise_generator,
    take_frames,
)
from fairseq_budget.models._config import BudgetEncoderConfig
from fairseq_budget.nn.heads import ClusterHead, classes_of
from fairseq_budget.nn.lengths import zero_padding


@dataclass
class BudgetHubertConfig(BudgetEncoderConfig):
    """Fields of ``model._name=budget_hubert``."""

    head: str = field(
        default="cosine",
        metadata={"help": "'cosine' (HuBERT) or 'linear' (cross-entropy form of k2SSL, MelHuBERT)"},
    )
    logit_temp: float = field(
        default=0.1, metadata={"help": "logits are divided by it; k2SSL's paper has none: 1.0"}
    )
    num_classes: Any = field(
        default=None,
        metadata={
            "help": "clusters + 4, a list of several label sets'; None: what the label files say"
        },
    )
    predict_unmasked: bool = field(
        default=False, metadata={"help": "also give logits of unmasked frames, at a cost"}
    )


@register_model("budget_hubert", dataclass=BudgetHubertConfig)
class BudgetHubertModel(BudgetModel):
    """Encoder and cluster head. Labels come with the batch."""

    def __init__(self, cfg: BudgetHubertConfig) -> None:
        super().__init__(cfg)
        config = self.encoder.config
        self.predict_unmasked = cfg.predict_unmasked
        self.head = ClusterHead(
            config.output_dim,
            config.final_dim,
            classes_of(cfg.num_classes or 0),
            kind=cfg.head,
            temperature=cfg.logit_temp,
        )

    def forward(
        self,
        source: Tensor,
        mask_indices: Tensor,
        masked: Tensor,
        labels: List[Tensor],
        num_samples: Optional[Tensor] = None,
        segment_ends: Optional[Tensor] = None,
        noise_seed: int = 0,
    ) -> Dict[str, Any]:
        """labels (B, T) int of each label set: the class of every frame.

        Returns lists of logits (N, V) and labels (N,), one for each set.

        With subsampling N counts masked segments, each with its longest label, or all frames of
        these where the output is upsampled.
        """
        wave = wave_from_bits(source)
        noise = noise_generator(wave.device, noise_seed)
        out = self.encode(wave, num_samples, noise, mask_indices, segment_ends)
        labels = [
            out.labels_at_output_rate(own, num_classes)
            for own, num_classes in zip(labels, self.head.num_classes, strict=True)
        ]
        masked = masked_frames(out, masked)
        result = {
            "logits": self.head(take_frames(out.output, masked)),
            "labels": [own.flatten().index_select(0, masked) for own in labels],
            **common_output(out),
        }
        if self.predict_unmasked:
            hidden = mask_indices if out.masked is None else out.masked
            heard = zero_padding(~hidden, out.output_padding).flatten().nonzero()[:, 0]
            result["unmasked_logits"] = self.head(take_frames(out.output, heard))
            result["unmasked_labels"] = [own.flatten().index_select(0, heard) for own in labels]
        return result
