"""The one speech encoder: waveform in, hidden states at 50 Hz out.

Shapes: B batch, S samples, T frames, C front-end channels, D model width, L layers. Batch first.

frontend -> LayerNorm -> projection -> dropout -> [alterations] -> positional conv -> transformer

Parameter names are fairseq's (HuBERT and wav2vec 2.0), so their weights load without a map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import RECEPTIVE_FIELD, num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.conv_frontend import ConvFrontend
from fairseq_budget.nn.lengths import normalize_wave, padding_mask
from fairseq_budget.nn.masking import add_magnitude_noise, mask_channel_block
from fairseq_budget.nn.transformer import TransformerEncoder


@dataclass
class EncoderOutput:
    """What the encoder returns.

    features: (B, T, C), the front-end's output after LayerNorm, before the projection and masks;
    hidden_states: L+1 tensors (B, T, D), the first layer's input and every layer's output;
    padding_mask: (B, T) bool, True = padding, or None when nothing is padded;
    feature_penalty: sum of squares and number of elements of the front-end's valid output.
    """

    features: Tensor
    hidden_states: list[Tensor]
    padding_mask: Tensor | None
    feature_penalty: tuple[Tensor, Tensor | int]

    @property
    def last_hidden_state(self) -> Tensor:
        return self.hidden_states[-1]


class SpeechEncoder(nn.Module):
    """Encoder of TERA, HuBERT and wav2vec 2.0, of any size (see EncoderConfig)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = resolved = config.resolved()
        dim, conv_dim = resolved.encoder_embed_dim, resolved.conv_dim
        self.feature_extractor = ConvFrontend(conv_dim, config.extractor_mode, config.conv_bias)
        self.layer_norm = nn.LayerNorm(conv_dim)
        self.post_extract_proj = nn.Linear(conv_dim, dim) if conv_dim != dim else None
        self.mask_emb = nn.Parameter(torch.empty(dim).uniform_())
        self.encoder = TransformerEncoder(resolved)

    def forward(
        self,
        source: Tensor,
        num_samples: Tensor | None = None,
        *,
        mask_indices: Tensor | None = None,
        layer_generator: torch.Generator | None = None,
        noise_generator: torch.Generator | None = None,
    ) -> EncoderOutput:
        """Encode a batch.

        source (B, S) float32 at 16 kHz; num_samples (B,) int, the valid samples of each row, or
        None when all are. mask_indices (B, T) bool, True = hide the frame behind the mask
        embedding. Randomness in training: ``layer_generator`` (CPU) chooses skipped layers;
        ``noise_generator`` (on source's device) draws the alterations, which need it. In eval
        nothing is random and nothing is altered but ``mask_indices``.

        Padded frames never change a valid one. Utterances shorter than one frame (400 samples)
        are an error.
        """
        if source.shape[1] < RECEPTIVE_FIELD:
            raise BudgetError(
                f"a batch of {source.shape[1]} samples is shorter than one frame "
                f"({RECEPTIVE_FIELD} samples = 25 ms): pad it or leave it out"
            )
        features = self._frontend(source, num_samples)  # (B, T, C)
        mask = None
        if num_samples is not None:
            mask = padding_mask(num_frames(num_samples), features.shape[1])
        penalty = _sum_of_squares(features, mask)
        features = x = self.layer_norm(features)
        if self.post_extract_proj is not None:
            x = self.post_extract_proj(x)  # (B, T, D)
        x = F.dropout(x, self.config.dropout_input, self.training)
        x = self._alter(x, mask_indices, noise_generator)
        states = self.encoder(x, mask, layer_generator)
        return EncoderOutput(features, states, mask, penalty)

    def _frontend(self, source: Tensor, num_samples: Tensor | None) -> Tensor:
        if self.config.normalize:
            source = normalize_wave(source.float(), num_samples)
        source = source.to(self.layer_norm.weight.dtype)
        scale = self.config.feature_grad_mult
        with torch.set_grad_enabled(torch.is_grad_enabled() and scale > 0):
            features = self.feature_extractor(source, num_samples)
        if features.requires_grad and scale != 1:
            features.register_hook(lambda grad: grad * scale)
        return features.transpose(1, 2)

    def _alter(
        self, x: Tensor, mask_indices: Tensor | None, generator: torch.Generator | None
    ) -> Tensor:
        config = self.config
        if mask_indices is not None:
            x = torch.where(mask_indices.unsqueeze(2), self.mask_emb.to(x.dtype), x)
        if self.training and generator is not None:
            if config.channel_mask_width:
                x = mask_channel_block(x, max_width=config.channel_mask_width, generator=generator)
            if config.noise_prob:
                x = add_magnitude_noise(
                    x, prob=config.noise_prob, std=config.noise_std, generator=generator
                )
        return x


def _sum_of_squares(features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | int]:
    squares = features.float().square().sum(2)  # (B, T)
    if mask is None:
        return squares.sum(), features.numel()
    return squares.masked_fill(mask, 0).sum(), (~mask).sum() * features.shape[2]
