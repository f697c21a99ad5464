"""The Zipformer's block: feed-forward, convolution, and the layer that joins all modules.

Zipformer (arXiv 2310.11230), section 3.1 and figure 2, with k2SSL's constants. Shapes as in
nn/encoder.py; parameter names are k2SSL's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fairseq_budget.nn.grouped_conv import GroupedConv1d
from fairseq_budget.nn.lengths import zero_padding
from fairseq_budget.nn.zipformer.attention import (
    NonlinAttention,
    RelativeAttentionWeights,
    SelfAttention,
    whitening_limit,
)
from fairseq_budget.nn.zipformer.chance import EVAL, Chance, Scheduled, ScheduledFloat, masked
from fairseq_budget.nn.zipformer.layers import SWOOSH_L, SWOOSH_R, BiasNorm, Bypass, SwooshLinear
from fairseq_budget.nn.zipformer.regularizers import Balancer, Whiten
from fairseq_budget.sizes import ZipformerSize

SKIP_MODULE = ScheduledFloat((0, 0.2), (4000, 0.05), (16000, 0.0))  # attention and convolution
SKIP_FEED_FORWARD = ScheduledFloat((0, 0.1), (4000, 0.01), (50000, 0.0))


class FeedForward(nn.Module):
    """Linear, SwooshL, dropout, linear."""

    def __init__(self, dim: int, hidden: int, dropout: Scheduled) -> None:
        super().__init__()
        self.in_proj = nn.Linear(dim, hidden)
        self.hidden_balancer = Balancer(
            min_positive=0.3, max_positive=1.0, min_abs=0.75, max_abs=5.0
        )
        self.out_proj = SwooshLinear(hidden, dim, shift=SWOOSH_L, scale=0.1, dropout=dropout)
        self.out_whiten = Whiten(whitening_limit(7.5))

    def forward(self, x: Tensor, chance: Chance = EVAL) -> Tensor:  # (B, T, C)
        x = self.hidden_balancer(self.in_proj(x), chance)
        return self.out_whiten(self.out_proj(x, chance), chance)


class Convolution(nn.Module):
    """Gated linear unit, depthwise convolution over time, SwooshR, linear."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(dim, 2 * dim)
        self.depthwise_conv = GroupedConv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.out_proj = SwooshLinear(dim, dim, shift=SWOOSH_R, scale=0.05)
        self.balancer1 = Balancer(
            min_positive=ScheduledFloat((0, 0.05), (8000, 0.025)),
            max_positive=1.0,
            min_abs=1.5,
            max_abs=ScheduledFloat((0, 5.0), (8000, 10.0)),
        )
        self.balancer2 = Balancer(
            min_positive=ScheduledFloat((0, 0.1), (8000, 0.05)),
            max_positive=1.0,
            min_abs=ScheduledFloat((0, 0.2), (20000, 0.5)),
            max_abs=10.0,
        )
        self.whiten = Whiten(whitening_limit(7.5))

    def forward(self, x: Tensor, padding_mask: Tensor | None, chance: Chance = EVAL) -> Tensor:
        x, gate = self.in_proj(x).chunk(2, dim=2)  # (B, T, C) each
        x = zero_padding(x * self.balancer1(gate, chance).sigmoid(), padding_mask)
        x = self.depthwise_conv(x.transpose(1, 2)).transpose(1, 2)
        x = self.whiten(self.balancer2(x, chance), chance)
        return self.out_proj(x, chance)


class ZipformerLayer(nn.Module):
    """Three feed-forward, three attention and two convolution modules around two bypasses."""

    def __init__(
        self, size: ZipformerSize, stack: int, *, dropout: Scheduled, skip_prob: Scheduled
    ) -> None:
        super().__init__()
        dim, ffn_dim = size.encoder_embed_dim[stack], size.encoder_ffn_embed_dim[stack]
        kernel = size.conv_kernel[stack]
        self.self_attn_weights = RelativeAttentionWeights(size, stack)
        self.self_attn1 = SelfAttention(size, stack)
        self.self_attn2 = SelfAttention(size, stack)
        self.feed_forward1 = FeedForward(dim, ffn_dim * 3 // 4, dropout)
        self.feed_forward2 = FeedForward(dim, ffn_dim, dropout)
        self.feed_forward3 = FeedForward(dim, ffn_dim * 5 // 4, dropout)
        self.nonlin_attention = NonlinAttention(dim)
        self.conv_module1 = Convolution(dim, kernel)
        self.conv_module2 = Convolution(dim, kernel)
        self.norm = BiasNorm(dim)
        self.bypass = Bypass(dim, skip_prob)
        self.bypass_mid = Bypass(dim)
        # k2SSL's checkpoints and counts hold it, nothing reads it
        self.bypass_scale = nn.Parameter(torch.full((dim,), 0.5), requires_grad=False)
        self._add_regularizers()

    def _add_regularizers(self) -> None:
        self.balancer_na = Balancer(
            min_positive=0.3,
            max_positive=0.7,
            min_abs=ScheduledFloat((0, 0.004), (4000, 0.02)),
            prob=0.05,
        )
        self.balancer_ff2 = Balancer(
            min_positive=0.3,
            max_positive=0.7,
            min_abs=ScheduledFloat((0, 0.0), (4000, 0.1)),
            max_abs=2.0,
            prob=0.05,
        )
        self.balancer_ff3 = Balancer(
            min_positive=0.3,
            max_positive=0.7,
            min_abs=ScheduledFloat((0, 0.0), (4000, 0.2)),
            max_abs=4.0,
            prob=0.05,
        )
        self.balancer1 = Balancer(min_positive=0.45, max_positive=0.55, min_abs=0.2, max_abs=4.0)
        self.balancer2 = Balancer(min_positive=0.45, max_positive=0.55, min_abs=0.1, max_abs=4.0)
        self.whiten = Whiten(whitening_limit(4.0, 3.0))

    def forward(
        self, x: Tensor, positions: Tensor, padding_mask: Tensor | None, chance: Chance = EVAL
    ) -> Tensor:
        """x (B, T, C), positions (2T-1, P), padding_mask (B, T) -> (B, T, C)."""
        before = x
        weights = self.self_attn_weights(x, positions, padding_mask, chance)  # (B, H, T, T)
        attend = chance.keep((x.shape[0], 1, 1), SKIP_MODULE, x)  # all three or none
        x = x + self.feed_forward1(x, chance)
        attended = self.balancer_na(self.nonlin_attention(x, weights[:, 0], chance), chance)
        x = x + masked(attended, attend)
        x = x + masked(self.self_attn1(x, weights, chance), attend)
        convolved = self.conv_module1(x, padding_mask, chance)
        x = x + chance.skip_utterances(convolved, SKIP_MODULE)
        fed = self.balancer_ff2(self.feed_forward2(x, chance), chance)
        x = x + chance.skip_utterances(fed, SKIP_FEED_FORWARD)
        x = self.bypass_mid(before, x, chance)
        x = x + masked(self.self_attn2(x, weights, chance), attend)
        convolved = self.conv_module2(x, padding_mask, chance)
        x = x + chance.skip_utterances(convolved, SKIP_MODULE)
        fed = self.balancer_ff3(self.feed_forward3(x, chance), chance)
        x = x + chance.skip_utterances(fed, SKIP_FEED_FORWARD)
        x = self.norm(self.balancer1(x, chance), chance)
        x = self.bypass(before, x, chance)
        return self.whiten(self.balancer2(x, chance), chance)
