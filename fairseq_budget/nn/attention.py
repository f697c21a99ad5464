"""Multi-head self-attention over torch's fused kernel."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError


class SelfAttention(nn.Module):
    """Full self-attention with separate query, key, value and output projections.

    Parameter names and initialisation are fairseq's (``q_proj`` ... ``out_proj``).
    """

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        if dim % num_heads:
            raise BudgetError(
                f"encoder_embed_dim {dim} does not divide into encoder_attention_heads {num_heads}"
            )
        self.num_heads = num_heads
        self.dropout = dropout
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:
        """x (B, T, D), padding_mask (B, T) True = padding -> (B, T, D)."""
        query, key, value = (
            project(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, H, T, D/H)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        # SDPA's own polarity is the opposite: True = attend
        attend = None if padding_mask is None else ~padding_mask[:, None, None, :]
        x = F.scaled_dot_product_attention(
            query, key, value, attn_mask=attend, dropout_p=self.dropout if self.training else 0.0
        )
        return self.out_proj(x.transpose(1, 2).flatten(2))
