"""The Zipformer's part of the FLOPs formula (see flops.py, which it is a part of)."""

from __future__ import annotations

from typing import Any

from fairseq_budget.sizes import ZipformerSize


def zipformer_macs(size: ZipformerSize, num_frames: Any) -> Any:
    """Projection and Zipformer on ``num_frames`` frames at 50 Hz; an int or an integer array.

    Counted are all linear layers, the products of attention (content, positions, the three uses
    of the weights) and the depthwise convolutions, each stack at its own rate.
    """
    width = size.encoder_embed_dim[0]
    projection = size.conv_dim * width if size.conv_dim != width else 0
    return num_frames * projection + sum(
        num_layers * _layer_macs(size, stack, -(-num_frames // size.downsampling[stack]))
        for stack, num_layers in enumerate(size.encoder_layers)
    )


def _layer_macs(size: ZipformerSize, stack: int, num_frames: Any) -> Any:
    dim, ffn_dim = size.encoder_embed_dim[stack], size.encoder_ffn_embed_dim[stack]
    heads, gated = size.encoder_attention_heads[stack], 3 * dim // 4
    queries, values = heads * size.query_head_dim, heads * size.value_head_dim
    positions = heads * size.pos_head_dim
    linear = (
        dim * (2 * queries + positions)
        + 2 * 2 * dim * values  # two self-attentions
        + 4 * dim * gated  # non-linear attention: three in, one out
        + 2 * dim * (ffn_dim * 3 // 4 + ffn_dim + ffn_dim * 5 // 4)
        + 2 * dim * (3 * dim + size.conv_kernel[stack])  # two convolution modules
        + 2 * positions * size.pos_dim  # of 2T - 1 offsets
    )
    # positions are compared with all 2T - 1 offsets
    attention = num_frames * (queries + 2 * positions + gated + 2 * values)
    return num_frames * (linear + attention)
