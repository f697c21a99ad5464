"""What the comparisons with fairseq share: a small model's shape, and batches as fairseq pads."""

import pytest
import torch
from torch import Tensor

CONV_LAYERS = "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2"
SHAPE = {
    "encoder_layers": 3,
    "encoder_embed_dim": 96,
    "encoder_ffn_embed_dim": 160,
    "encoder_attention_heads": 4,
    "final_dim": 32,
}
MODES = [
    pytest.param(mode, norm_first, id=f"{mode}-{'pre' if norm_first else 'post'}-norm")
    for mode in ("default", "layer_norm")
    for norm_first in (False, True)
]


def padded_batch(lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Noise (B, S), zero on padding; its lengths (B,), and fairseq's padding mask (B, S)."""
    generator = torch.Generator().manual_seed(1)
    num_samples = torch.tensor(lengths)
    padding = torch.arange(max(lengths)) >= num_samples.unsqueeze(1)
    wave = 0.1 * torch.randn(padding.shape, generator=generator)
    return wave.masked_fill(padding, 0), num_samples, padding
