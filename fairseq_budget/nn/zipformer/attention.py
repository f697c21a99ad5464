"""The Zipformer's attention: weights computed once per layer, used by three modules.

Zipformer (arXiv 2310.11230), section 3.2; relative positions as in Transformer-XL, compact.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.nn.zipformer.chance import EVAL, Chance, ScheduledFloat
from fairseq_budget.nn.zipformer.layers import scaled_linear
from fairseq_budget.nn.zipformer.regularizers import Balancer, Whiten, limit_scores
from fairseq_budget.sizes import ZipformerSize

SKIP_POSITIONS = ScheduledFloat((0, 0.5), (4000, 0.0))
_HIDDEN = -1000.0  # its exponential is 0; unlike -inf it leaves rows of padding alone finite


def whitening_limit(start: float, ratio: float = 2.0) -> ScheduledFloat:
    return ScheduledFloat((0, start), (20000, ratio * start))


class _Softmax(torch.autograd.Function):
    """Softmax over the last axis in float32, kept in the dtype of its input."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(scores.dtype)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        weights = ctx.saved_tensors[0].float()
        product = grad.float() * weights
        return (product - weights * product.sum(-1, keepdim=True)).to(grad.dtype)


class RelativeAttentionWeights(nn.Module):
    """Multi-head attention weights from content and relative position.

    score(t, s) = query_t . key_s + position_query_t . (linear_pos(encoding of s - t)). There is
    no 1/sqrt(d): the initial weights hold it, which suits ScaledAdam.
    """

    def __init__(self, size: ZipformerSize, stack: int) -> None:
        super().__init__()
        self.num_heads = heads = size.encoder_attention_heads[stack]
        query, pos = heads * size.query_head_dim, heads * size.pos_head_dim
        self.parts = (query, query, pos)
        self.in_proj = scaled_linear(
            size.encoder_embed_dim[stack], sum(self.parts), scale=size.query_head_dim**-0.25
        )
        self.linear_pos = scaled_linear(size.pos_dim, pos, scale=0.05, bias=False)
        # a constant added to all keys changes nothing, so it may drift: held back, rarely
        self.balance_keys = Balancer(min_positive=0.4, max_positive=0.6, min_abs=0.0, prob=0.025)
        self.whiten_keys = Whiten(whitening_limit(3.0), num_groups=heads, scale=0.025)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        padding_mask: Tensor | None,
        chance: Chance = EVAL,
    ) -> Tensor:
        """x (B, T, C), positions (2T-1, P), padding_mask (B, T) -> weights (B, H, T, T).

        Rows are targets and sum to 1; padding is never attended to.
        """
        query, key, pos_query = self.in_proj(x).split(self.parts, dim=2)
        key = self.whiten_keys(self.balance_keys(key, chance), chance)
        query, key, pos_query = (self._by_head(part) for part in (query, key, pos_query))
        scores = query @ key.transpose(2, 3) + self._position_scores(pos_query, positions, chance)
        scores = limit_scores(scores, chance)
        if padding_mask is not None:
            scores = scores.masked_fill(padding_mask[:, None, None, :], _HIDDEN)
        return _Softmax.apply(scores)

    def _position_scores(self, query: Tensor, positions: Tensor, chance: Chance) -> Tensor:
        key = self.linear_pos(positions.to(query.dtype)).unflatten(1, (self.num_heads, -1))
        scores = query @ key.permute(1, 2, 0)  # (B, H, T, P) @ (H, P, 2T-1)
        scores = shift_to_absolute(scores)
        # times zero instead of left out: every parameter has a gradient in every update
        return scores * 0 if chance.happens(SKIP_POSITIONS) else scores

    def _by_head(self, x: Tensor) -> Tensor:  # (B, T, H d) -> (B, H, T, d)
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


def shift_to_absolute(scores: Tensor) -> Tensor:
    """(B, H, T, 2T-1) by offset -> (B, H, T, T) by frame: out[t, s] = scores[t, (T-1) + s - t]."""
    batch, heads, frames, _ = scores.shape
    if torch.compiler.is_exporting():  # where strides depend on sizes, and ONNX has none
        time = torch.arange(frames, device=scores.device)
        index = frames - 1 + time - time.unsqueeze(1)
        return scores.gather(3, index.expand(batch, heads, -1, -1))
    scores = scores.contiguous()
    *outer, row, column = scores.stride()
    return scores.as_strided(
        (batch, heads, frames, frames), (*outer, row - column, column), column * (frames - 1)
    )


class SelfAttention(nn.Module):
    """Values, averaged with given attention weights, and projected back."""

    def __init__(self, size: ZipformerSize, stack: int) -> None:
        super().__init__()
        dim, self.num_heads = size.encoder_embed_dim[stack], size.encoder_attention_heads[stack]
        value_dim = self.num_heads * size.value_head_dim
        self.in_proj = nn.Linear(dim, value_dim)
        self.out_proj = scaled_linear(value_dim, dim, scale=0.05)
        self.whiten = Whiten(whitening_limit(7.5, 3.0))

    def forward(self, x: Tensor, weights: Tensor, chance: Chance = EVAL) -> Tensor:
        """x (B, T, C), weights (B, H, T, T) -> (B, T, C)."""
        value = self.in_proj(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        value = (weights @ value).transpose(1, 2).flatten(2)
        return self.whiten(self.out_proj(value), chance)


class NonlinAttention(nn.Module):
    """Gated features averaged with one head's weights, and gated again: (W (x tanh(s))) y."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = 3 * dim // 4
        self.in_proj = nn.Linear(dim, 3 * hidden)
        self.out_proj = scaled_linear(hidden, dim, scale=0.05)
        self.balancer = Balancer(
            min_positive=ScheduledFloat((0, 0.25), (20000, 0.05)),
            max_positive=ScheduledFloat((0, 0.75), (20000, 0.95)),
            min_abs=0.5,
            max_abs=5.0,
        )
        self.whiten1 = Whiten(whitening_limit(5.0))
        self.whiten2 = Whiten(whitening_limit(5.0, 3.0))

    def forward(self, x: Tensor, weights: Tensor, chance: Chance = EVAL) -> Tensor:
        """x (B, T, C), weights (B, T, T) of one head -> (B, T, C)."""
        gate, x, out_gate = self.in_proj(x).chunk(3, dim=2)
        x = self.whiten1(x, chance) * self.balancer(gate, chance).tanh()
        return self.whiten2(self.out_proj((weights @ x) * out_gate), chance)
