"""TERA: reconstruct the acoustic features of masked frames."""

from dataclasses import dataclass, field
from typing import Any, Dict, Optional

from fairseq.models import register_model
from torch import Tensor

from fairseq_budget.audio.targets import AcousticTarget
from fairseq_budget.data.audio_dataset import wave_from_bits
from fairseq_budget.models._base import (
    BudgetModel,
    common_output,
    masked_frames,
    noise_generator,
    take_frames,
)
from fairseq_budget.models._config import BudgetEncoderConfig
from fairseq_budget.nn.heads import ReconstructionHead


@dataclass
class BudgetTeraConfig(BudgetEncoderConfig):
    """Fields of ``model._name=budget_tera``."""

    target: str = field(
        default="mfcc",
        metadata={"help": "what is reconstructed, in pairs of 10 ms frames: 'mfcc' or 'logmel'"},
    )
    normalize_target: bool = field(
        default=False, metadata={"help": "zero mean and unit variance per utterance and dimension"}
    )


@register_model("budget_tera", dataclass=BudgetTeraConfig)
class BudgetTeraModel(BudgetModel):
    """Encoder, linear head, and targets computed on the fly from the very waveform it hears."""

    def __init__(self, cfg: BudgetTeraConfig) -> None:
        super().__init__(cfg)
        self.target = AcousticTarget(cfg.target, normalize=cfg.normalize_target)
        self.head = ReconstructionHead(self.encoder.config.output_dim, self.target.dim)

    def forward(
        self,
        source: Tensor,
        mask_indices: Tensor,
        masked: Tensor,
        num_samples: Optional[Tensor] = None,
        segment_ends: Optional[Tensor] = None,
        noise_seed: int = 0,
    ) -> Dict[str, Any]:
        """source (B, S), mask_indices (B, T) bool, masked (N,) flat indices of its True entries.

        Returns prediction and target (N, F) of the masked frames. With subsampling they are those
        of the masked segments, targets being the means of theirs, or of all frames of these where
        the output is upsampled.
        """
        wave = wave_from_bits(source)
        target = self.target(wave, num_samples)  # (B, T, F) float32
        noise = noise_generator(wave.device, noise_seed)
        out = self.encode(wave, num_samples, noise, mask_indices, segment_ends)
        target = out.at_output_rate(target)
        masked = masked_frames(out, masked)
        return {
            "prediction": self.head(take_frames(out.output, masked)),
            "target": take_frames(target, masked),
            **common_output(out),
        }
