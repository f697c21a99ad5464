"""Encoder sizes by name: one table, read by models, planner, export and docs.

Transformers are those of "Efficient Training of Self-Supervised Speech Foundation Models on a
Compute Budget", Table 4 (``slim_N`` is "Slim N %": N per cent of Slim's parameters), Zipformers
those of k2SSL (arXiv 2411.17100), Table I; ``tiny`` and ``zipformer_tiny`` are for demonstrations
on a CPU. The tables are append-only: checkpoints name their size.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import ClassVar


@dataclass(frozen=True)
class TransformerSize:
    """The dimensions of one encoder; field names are fairseq's."""

    encoder_type: ClassVar[str] = "transformer"
    encoder_layers: int
    encoder_embed_dim: int
    encoder_ffn_embed_dim: int
    encoder_attention_heads: int
    final_dim: int = 256  # width of the space in which targets are compared
    conv_dim: int = 512  # channels of the convolutional front-end
    conv_pos: int = 128  # kernel of the positional convolution, in frames

    def dimensions(self) -> dict[str, int]:
        """Values for the fields that an encoder's config leaves open."""
        return asdict(self)


TRANSFORMER_SIZES: dict[str, TransformerSize] = {
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


@dataclass(frozen=True)
class ZipformerSize:
    """The dimensions of one Zipformer; tuples hold one entry per stack.

    Names as in TransformerSize where the thing is the same.
    """

    encoder_type: ClassVar[str] = "zipformer"
    encoder_layers: tuple[int, ...]
    encoder_embed_dim: tuple[int, ...]
    encoder_ffn_embed_dim: tuple[int, ...]
    unmasked_dim: tuple[int, ...]  # channels that training's feature mask never hides
    encoder_attention_heads: tuple[int, ...] = (4, 4, 4, 8, 4, 4)
    conv_kernel: tuple[int, ...] = (31, 31, 15, 15, 15, 31)
    downsampling: tuple[int, ...] = (1, 2, 4, 8, 4, 2)  # of the 50 Hz input
    query_head_dim: int = 32  # queries and keys, per head
    value_head_dim: int = 12
    pos_head_dim: int = 4
    pos_dim: int = 48
    final_dim: int = 256
    conv_dim: int = 512

    @property
    def output_dim(self) -> int:
        return max(self.encoder_embed_dim)

    def dimensions(self) -> dict[str, int]:
        """As TransformerSize's; a stack counts as a layer, and 0 is what each has of its own."""
        own = ("encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads", "conv_pos")
        shared = {"final_dim": self.final_dim, "conv_dim": self.conv_dim}
        return {"encoder_layers": len(self.encoder_layers), **shared, **dict.fromkeys(own, 0)}

    def first_stacks(self, num_stacks: int) -> ZipformerSize:
        """The size that is left when the stacks above the first ones are cut off."""
        return replace(
            self,
            encoder_layers=self.encoder_layers[:num_stacks],
            encoder_embed_dim=self.encoder_embed_dim[:num_stacks],
            encoder_ffn_embed_dim=self.encoder_ffn_embed_dim[:num_stacks],
            unmasked_dim=self.unmasked_dim[:num_stacks],
            encoder_attention_heads=self.encoder_attention_heads[:num_stacks],
            conv_kernel=self.conv_kernel[:num_stacks],
            downsampling=self.downsampling[:num_stacks],
        )


# Base and Large have the parameters of k2SSL's Table I (94.6 M, 305.9 M with front-end and head);
# the paper does not print their dimensions, these are its users' and give the same totals. Small is
# ours: half of Base's widths, fewer layers; Slim's parameters and output width. Tiny has about the
# parameters of the transformer of that name.
ZIPFORMER_SIZES: dict[str, ZipformerSize] = {
    "zipformer_tiny": ZipformerSize(
        encoder_layers=(1, 1, 1, 1, 1, 1),
        encoder_embed_dim=(48, 64, 80, 96, 80, 64),
        encoder_ffn_embed_dim=(64, 96, 96, 128, 96, 96),
        unmasked_dim=(48, 48, 64, 64, 64, 48),
        encoder_attention_heads=(2, 2, 2, 4, 2, 2),
        conv_kernel=(15, 15, 9, 9, 9, 15),
        query_head_dim=16,
        final_dim=64,
        conv_dim=64,
    ),
    "zipformer_small": ZipformerSize(
        encoder_layers=(2, 2, 2, 3, 2, 2),
        encoder_embed_dim=(96, 128, 224, 384, 224, 96),
        encoder_ffn_embed_dim=(256, 384, 448, 512, 448, 384),
        unmasked_dim=(96, 96, 128, 128, 128, 96),
    ),
    "zipformer_base": ZipformerSize(
        encoder_layers=(2, 2, 3, 4, 3, 2),
        encoder_embed_dim=(192, 256, 448, 768, 448, 192),
        encoder_ffn_embed_dim=(512, 768, 1024, 1536, 1024, 768),
        unmasked_dim=(192, 192, 256, 256, 256, 192),
    ),
    "zipformer_large": ZipformerSize(
        encoder_layers=(2, 2, 4, 5, 4, 2),
        encoder_embed_dim=(256, 512, 768, 1024, 768, 512),
        encoder_ffn_embed_dim=(768, 1536, 2048, 3072, 2048, 1536),
        unmasked_dim=(192, 192, 256, 320, 256, 192),
    ),
}

SIZES: dict[str, TransformerSize | ZipformerSize] = {**TRANSFORMER_SIZES, **ZIPFORMER_SIZES}
