"""TERA: reconstruct the acoustic features of masked frames."""

from dataclasses import dataclass, field
from typing import Any, Dict, Optional

import torch
import torch.nn.functional as F
from fairseq.models import BaseFairseqModel, register_model
from torch import Tensor

from fairseq_budget.audio.targets import AcousticTarget
from fairseq_budget.data.audio_dataset import wave_from_bits
from fairseq_budget.models._config import BudgetEncoderConfig, encoder_config
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.heads import ReconstructionHead
from fairseq_budget.nn.masking import seed_from


@dataclass
class BudgetTeraConfig(BudgetEncoderConfig):
    target: str = field(
        default="mfcc",
        metadata={"help": "what is reconstructed, in pairs of 10 ms frames: 'mfcc' or 'logmel'"},
    )
    normalize_target: bool = field(
        default=False, metadata={"help": "zero mean and unit variance per utterance and dimension"}
    )


@register_model("budget_tera", dataclass=BudgetTeraConfig)
class BudgetTeraModel(BaseFairseqModel):
    """Encoder, linear head, and targets computed on the fly from the very waveform it hears."""

    def __init__(self, cfg: BudgetTeraConfig) -> None:
        super().__init__()
        self.seed = cfg.seed
        self.num_updates = 0
        self.encoder = SpeechEncoder(encoder_config(cfg))
        self.target = AcousticTarget(cfg.target, normalize=cfg.normalize_target)
        dim = self.encoder.config.encoder_embed_dim
        self.head = ReconstructionHead(dim, self.target.dim)

    @classmethod
    def build_model(cls, cfg: BudgetTeraConfig, task: Any = None) -> "BudgetTeraModel":
        return cls(cfg)

    def set_num_updates(self, num_updates: int) -> None:
        self.num_updates = num_updates

    def forward(
        self,
        source: Tensor,
        mask_indices: Tensor,
        masked: Tensor,
        num_samples: Optional[Tensor] = None,
        noise_seed: int = 0,
    ) -> Dict[str, Any]:
        """source (B, S), mask_indices (B, T) bool, masked (N,) flat indices of its True entries.

        Returns prediction and target (N, F) of the masked frames, and the feature penalty.
        """
        wave = wave_from_bits(source)
        target = self.target(wave, num_samples)  # (B, T or T - 1, F) float32
        out = self.encoder(
            wave,
            num_samples,
            mask_indices=mask_indices,
            layer_generator=torch.Generator().manual_seed(seed_from(self.seed, self.num_updates)),
            noise_generator=torch.Generator(wave.device).manual_seed(noise_seed),
        )
        hidden = out.last_hidden_state
        target = F.pad(target, (0, 0, 0, hidden.shape[1] - target.shape[1]))
        return {
            "prediction": self.head(hidden.flatten(0, 1).index_select(0, masked)),
            "target": target.flatten(0, 1).index_select(0, masked),
            "feature_penalty": out.feature_penalty,
        }
