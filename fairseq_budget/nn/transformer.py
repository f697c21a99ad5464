"""The transformer encoder of wav2vec 2.0 and HuBERT, pre- or post-norm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.nn.attention import SelfAttention
from fairseq_budget.nn.config import ResolvedConfig
from fairseq_budget.nn.dropout import dropout
from fairseq_budget.nn.lengths import zero_padding
from fairseq_budget.nn.positions import positional_conv


class TransformerLayer(nn.Module):
    """Self-attention and a GELU feed-forward network, each with residual and LayerNorm."""

    def __init__(self, config: ResolvedConfig) -> None:
        super().__init__()
        dim, ffn_dim = config.encoder_embed_dim, config.encoder_ffn_embed_dim
        self.norm_first = config.layer_norm_first
        self.dropout = config.dropout
        self.activation_dropout = config.activation_dropout
        self.self_attn = SelfAttention(
            dim, config.encoder_attention_heads, config.attention_dropout
        )
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, ffn_dim)
        self.fc2 = nn.Linear(ffn_dim, dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:  # (B, T, D)
        if self.norm_first:
            x = x + self._drop(self.self_attn(self.self_attn_layer_norm(x), padding_mask))
            return x + self._feed_forward(self.final_layer_norm(x))
        x = self.self_attn_layer_norm(x + self._drop(self.self_attn(x, padding_mask)))
        return self.final_layer_norm(x + self._feed_forward(x))

    def _feed_forward(self, x: Tensor) -> Tensor:
        hidden = F.gelu(self.fc1(x))
        return self._drop(self.fc2(dropout(hidden, self.activation_dropout, self.training)))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class TransformerEncoder(nn.Module):
    """Positional convolution, then a stack of layers; parameter names are fairseq's.

    Layer drop skips whole layers in training, chosen by ``generator`` (on the CPU), so that all
    workers of an update skip, and save, the same ones.
    """

    def __init__(self, config: ResolvedConfig) -> None:
        super().__init__()
        self.norm_first = config.layer_norm_first
        self.dropout = config.dropout
        self.layerdrop = config.encoder_layerdrop
        self.pos_conv = positional_conv(
            config.encoder_embed_dim, config.conv_pos, config.conv_pos_groups
        )
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.encoder_layers))
        self.layer_norm = nn.LayerNorm(config.encoder_embed_dim)
        self.apply(_init_bert)

    def forward(
        self, x: Tensor, padding_mask: Tensor | None, generator: torch.Generator | None
    ) -> list[Tensor]:
        """x (B, T, D) -> L+1 hidden states (B, T, D): the first layer's input, all layers' output.

        With pre-norm layers the final LayerNorm is applied to the last one only. A skipped layer
        hands its input on, so the number of states never changes.
        """
        x = zero_padding(x, padding_mask)
        x = x + self.pos_conv(x.transpose(1, 2)).transpose(1, 2)
        if not self.norm_first:
            x = self.layer_norm(x)
        x = dropout(x, self.dropout, self.training)
        states = [x]
        for layer, keep in zip(self.layers, self._kept_layers(generator), strict=True):
            states.append(layer(states[-1], padding_mask) if keep else states[-1])
        if self.norm_first:
            states[-1] = self.layer_norm(states[-1])
        return states

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def keep_layers(self, num_layers: int) -> None:
        """Cut off what lies above the first layers; no final norm, which is no part of a layer."""
        self.layers = self.layers[:num_layers]
        if self.norm_first:
            self.layer_norm = nn.Identity()  # type: ignore[assignment]

    def turn_off_layer_drop(self) -> None:
        self.layerdrop = 0.0

    def _kept_layers(self, generator: torch.Generator | None) -> list[bool]:
        if not self.training or self.layerdrop == 0:
            return [True] * len(self.layers)
        return (torch.rand(len(self.layers), generator=generator) >= self.layerdrop).tolist()


def _init_bert(module: nn.Module) -> None:
    """BERT's initialisation, as in fairseq: N(0, 0.02) for linear weights, zero biases."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
