"""Penalties on CIF's alphas that tell it how many segments to make, and where.

"On Compressing Sequences for Self-Supervised Speech Models", eqs. 3 to 5, under one convention for
boundaries: segment k is [e_{k-1}, e_k) in frames, e_0 = 0, e_K = T. Differs: the paper's eq. 4
means ends by its t_k, its eq. 5 starts. Sums over an utterance, which the paper leaves open; counts
are utterances.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fairseq_budget.losses import LossTerm
from fairseq_budget.nn.subsample import target_alphas


def cardinality_loss(alphas: Tensor, num_frames: Tensor, rate: float) -> LossTerm:
    """((sum_t alpha_t - K) / T)^2 with K = T / rate (eq. 3).

    alphas (B, T), zero on padding; num_frames (B,), each utterance's own T.
    """
    frames = num_frames.to(alphas.dtype)
    error = (alphas.sum(1) - frames / rate) / frames
    return LossTerm(error.square().sum(), len(alphas))


def segment_loss(alphas: Tensor, ends: Tensor) -> LossTerm:
    """Sum over segments of |alpha_1 + ... + alpha_{e_k} - k| (eq. 4): no drift of the sums.

    alphas (B, T), zero on padding; ends (B, K) int64, padded by repeating an utterance's last.
    """
    sums = F.pad(alphas.double().cumsum(1), (1, 0)).gather(1, ends)
    real = ends.diff(dim=1, prepend=ends.new_zeros(len(ends), 1)) > 0
    error = (sums - real.cumsum(1)).abs().masked_fill(~real, 0)
    return LossTerm(error.sum().float(), len(alphas))


def frame_loss(alphas: Tensor, ends: Tensor) -> LossTerm:
    """Sum over frames of |alpha_t - 1 / (e_k - e_{k-1})| (eq. 5); as `segment_loss`."""
    target = target_alphas(ends, alphas.shape[1]).float()
    return LossTerm((alphas - target).abs().sum(), len(alphas))
