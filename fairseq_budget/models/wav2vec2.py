"""wav2vec 2.0: tell the quantized true frame from other masked frames of the utterance."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_budget.data.audio_dataset import wave_from_bits
from fairseq_budget.errors import BudgetError
from fairseq_budget.losses.contrastive import contrastive_logits, sample_negatives
from fairseq_budget.models._base import BudgetModel, common_output, noise_generator, take_frames
from fairseq_budget.models._config import BudgetEncoderConfig
from fairseq_budget.nn.dropout import dropout
from fairseq_budget.nn.quantizer import GumbelQuantizer


@dataclass
class BudgetWav2Vec2Config(BudgetEncoderConfig):
    """Fields of ``model._name=budget_wav2vec2``."""

    latent_vars: int = field(default=320, metadata={"help": "entries in each codebook"})
    latent_groups: int = field(default=2, metadata={"help": "codebooks"})
    latent_dim: int = field(default=0, metadata={"help": "width of a code; 0: final_dim"})
    latent_temp: List[float] = field(
        default_factory=lambda: [2.0, 0.5, 0.999995],
        metadata={"help": "Gumbel temperature: start, end, factor per update"},
    )
    num_negatives: int = field(default=100, metadata={"help": "distractors for each masked frame"})
    logit_temp: float = field(default=0.1, metadata={"help": "temperature of the similarities"})
    dropout_features: float = field(default=0.1, metadata={"help": "dropout of what is quantized"})


@register_model("budget_wav2vec2", dataclass=BudgetWav2Vec2Config)
class BudgetWav2Vec2Model(BudgetModel):
    """Encoder, Gumbel quantizer on the front-end's features, and two projections to compare."""

    def __init__(self, cfg: BudgetWav2Vec2Config) -> None:
        super().__init__(cfg)
        config = self.encoder.config
        if config.subsample != "none":
            raise BudgetError(
                f"model.subsample={config.subsample}: wav2vec 2.0 compares frames with frames; "
                "expected none"
            )
        vq_dim = cfg.latent_dim or config.final_dim
        self.latent_temp = tuple(cfg.latent_temp)
        self.num_negatives = cfg.num_negatives
        self.logit_temp = cfg.logit_temp
        self.dropout_features = cfg.dropout_features
        self.quantizer = GumbelQuantizer(
            config.conv_dim, num_vars=cfg.latent_vars, groups=cfg.latent_groups, vq_dim=vq_dim
        )
        self.project_q = nn.Linear(vq_dim, config.final_dim)
        self.final_proj = nn.Linear(config.output_dim, config.final_dim)

    def temperature(self) -> float:
        start, end, factor = self.latent_temp
        return max(start * factor**self.num_updates, end)

    def forward(
        self,
        source: Tensor,
        mask_indices: Tensor,
        masked: Tensor,
        num_samples: Optional[Tensor] = None,
        noise_seed: int = 0,
        negatives: Optional[Tensor] = None,
    ) -> Dict[str, Any]:
        """Logits (N, 1 + K), the true frame first; ``negatives`` (N, K) are drawn if None."""
        wave = wave_from_bits(source)
        noise = noise_generator(wave.device, noise_seed)
        out = self.encode(wave, num_samples, noise, mask_indices)
        features = dropout(take_frames(out.features, masked), self.dropout_features, self.training)
        quantized = self.quantizer(features, temperature=self.temperature(), generator=noise)
        if negatives is None:
            rows = masked // mask_indices.shape[1]
            negatives = sample_negatives(mask_indices.sum(1), rows, self.num_negatives, noise)
        logits = contrastive_logits(
            self.final_proj(take_frames(out.last_hidden_state, masked)),
            self.project_q(quantized.x),
            negatives,
            quantized.codes,
            temperature=self.logit_temp,
        )
        return {
            "logits": logits,
            "quantized": quantized,
            **common_output(out),
        }
