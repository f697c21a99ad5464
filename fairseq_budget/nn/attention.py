"""Multi-head self-attention over torch's fused kernel, where it has one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.dropout import dropout


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
        drop = self.dropout if self.training else 0.0
        is_slow = drop and x.device.type == "cpu"
        in_steps = is_slow or torch.compiler.is_exporting()
        attend = attend_in_steps if in_steps else fused_attention
        x = attend(query, key, value, padding_mask, drop)
        return self.out_proj(x.transpose(1, 2).flatten(2))


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, padding_mask: Tensor | None, drop: float
) -> Tensor:
    """(B, H, T, D/H) each, padding_mask (B, T) True = padding -> (B, H, T, D/H)."""
    # SDPA's own polarity is the opposite: True = attend
    attend = None if padding_mask is None else ~padding_mask[:, None, None, :]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=attend, dropout_p=drop)


def attend_in_steps(
    query: Tensor, key: Tensor, value: Tensor, padding_mask: Tensor | None, drop: float
) -> Tensor:
    """The same step by step: no kernel of a CPU's drops weights, and torch's way around is slow.

    Also what exported graphs do, where the kernel must not ask how many frames there are.
    """
    scores = query * query.shape[-1] ** -0.5 @ key.mT  # (B, H, T, T)
    if padding_mask is not None:  # by a finite number, for utterances without a frame
        lowest = torch.finfo(scores.dtype).min
        scores = scores.masked_fill_(padding_mask[:, None, None, :], lowest)
    return dropout(scores.softmax(-1), drop, training=True) @ value
