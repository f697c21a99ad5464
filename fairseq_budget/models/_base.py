"""What all pre-training models share: the encoder, and its explicit randomness."""

from typing import Any, Optional

import torch
from fairseq.models import BaseFairseqModel
from torch import Tensor

from fairseq_budget.models._config import BudgetEncoderConfig, encoder_config
from fairseq_budget.nn.encoder import EncoderOutput, SpeechEncoder
from fairseq_budget.nn.masking import seed_from


class BudgetModel(BaseFairseqModel):
    """Holds ``encoder``; subclasses add heads and a forward() over a batch's net_input."""

    def __init__(self, cfg: BudgetEncoderConfig) -> None:
        super().__init__()
        self.seed = cfg.seed
        self.num_updates = 0
        self.encoder = SpeechEncoder(encoder_config(cfg))

    @classmethod
    def build_model(cls, cfg: Any, task: Any = None) -> "BudgetModel":
        return cls(cfg)

    def set_num_updates(self, num_updates: int) -> None:
        super().set_num_updates(num_updates)
        self.num_updates = num_updates

    def encode(
        self,
        wave: Tensor,
        num_samples: Optional[Tensor],
        mask_indices: Tensor,
        noise: torch.Generator,
    ) -> EncoderOutput:
        """Layers are skipped by (seed, update), so all workers of an update skip the same ones."""
        return self.encoder(
            wave,
            num_samples,
            mask_indices=mask_indices,
            layer_generator=torch.Generator().manual_seed(seed_from(self.seed, self.num_updates)),
            noise_generator=noise,
        )


def noise_generator(device: torch.device, seed: int) -> torch.Generator:
    """The batch's own stream: alterations, Gumbel noise, negatives."""
    return torch.Generator(device).manual_seed(seed)


def take_frames(x: Tensor, indices: Tensor) -> Tensor:
    """x (B, T, D) at N flat indices into its frames -> (N, D), without asking the host."""
    return x.flatten(0, 1).index_select(0, indices)
