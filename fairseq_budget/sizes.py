"""Encoder sizes by name: one table, read by models, planner, export and docs.

Sizes are those of "Efficient Training of Self-Supervised Speech Foundation Models on a Compute
Budget", Table 4 (``slim_N`` is "Slim N %": N per cent of Slim's parameters), plus ``tiny`` for
demonstrations on a CPU. The table is append-only: checkpoints name their size.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TransformerSize:
    """The dimensions of one encoder; field names are fairseq's."""

    encoder_layers: int
    encoder_embed_dim: int
    encoder_ffn_embed_dim: int
    encoder_attention_heads: int
    final_dim: int = 256  # width of the space in which targets are compared
    conv_dim: int = 512  # channels of the convolutional front-end
    conv_pos: int = 128  # kernel of the positional convolution, in frames


SIZES: dict[str, TransformerSize] = {
    "tiny": TransformerSize(3, 128, 256, 4, final_dim=64, conv_dim=64, conv_pos=32),
    "slim_30": TransformerSize(4, 192, 320, 4),
    "slim_50": TransformerSize(5, 320, 768, 8),
    "slim_70": TransformerSize(7, 384, 768, 8),
    "small": TransformerSize(3, 640, 2048, 8),
    "slim": TransformerSize(12, 384, 768, 8),
    "slim_200": TransformerSize(15, 528, 1024, 12),
    "base": TransformerSize(12, 768, 3072, 12),
    "large": TransformerSize(24, 1024, 4096, 16, final_dim=768),
}
