"""Continuous Integrate-and-Fire: weights of frames, summed up, decide where segments end.

"CIF: Continuous Integrate-and-Fire" (Dong and Xu, 2020) as "On Compressing Sequences for
Self-Supervised Speech Models", section 5.2, uses it: alphas are not rescaled, in training as in
use. With c_t = alpha_1 + ... + alpha_t, frame t gives segment k (from 0) the weight

    W[k, t] = max(0, min(c_t, k + 1) - max(c_{t-1}, k))

so a frame is shared by two segments at most (alpha <= 1), and an integer sum ends a segment.
Differs: the papers leave the end open. Here a residue of at least half a segment is one, with
its weights scaled up; a smaller one is dropped, and an utterance has at least one segment.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.nn.dropout import dropout

TOLERANCE = 1e-4  # 7 x 1/7 is less than 1 in any precision: sums this close to an integer reach it
MIN_RESIDUE = 0.5  # of a segment's weight


def integrate_and_fire(alphas: Tensor, max_segments: int | None = None) -> tuple[Tensor, Tensor]:
    """alphas (B, T) in [0, 1], 0 on padding -> weights (B, K, T) float32, lengths (B,) int64.

    Rows of W sum to 1 for the first ``lengths`` segments of an utterance, the others are zero.
    Loop-free, with exact gradients: an alpha moves the borders of all later segments, too. Sums are
    float64, since float32 misfires after seconds (its error at 10 minutes is 1e-2), and lengths
    come from the same sums. Without ``max_segments`` (K, if the caller knows it) the host waits for
    the largest length once: it is a shape.
    """
    alphas = alphas.double()
    ends = alphas.cumsum(1)
    lengths = num_segments(ends[:, -1])
    size = cast(int, lengths.max().item()) if max_segments is None else max_segments
    starts = F.pad(ends[:, :-1], (1, 0))
    segment = starts.floor()  # in which a frame begins
    left = torch.minimum(alphas, segment + 1 - starts)
    values = torch.stack([left, alphas - left], dim=1).float()  # (B, 2, T)
    rows = torch.stack([segment, segment + 1], dim=1).long().clamp(max=size)
    weights = values.new_zeros(alphas.shape[0], size + 1, alphas.shape[1])
    weights = weights.scatter(1, rows, values)[:, :-1]  # row ``size``: what is dropped
    index = torch.arange(size, device=alphas.device)
    total = (ends[:, -1:] - index).clamp(TOLERANCE, 1).float()  # of each row; 1 but for the last
    inside = index < lengths.unsqueeze(1)
    return weights * (inside / total).unsqueeze(2), lengths


def num_segments(total: Tensor) -> Tensor:
    """Segments of utterances whose alphas sum to ``total`` (B,) float64, int64."""
    complete = (total + TOLERANCE).floor()
    return (complete + (total - complete >= MIN_RESIDUE)).long().clamp(min=1)


def fired_frames(alphas: Tensor, lengths: Tensor, num_frames: Tensor) -> Tensor:
    """Ends of segments, in frames from the utterance's start, (B, K) float64.

    Between the frames' borders by linear interpolation; constant alphas of 1/4 end at 4, 8, ...
    The last segment ends with the utterance, and so do the padded ones.
    """
    alphas = alphas.double()
    sums = alphas.cumsum(1)
    wanted = 1 + torch.arange(int(lengths.max()), device=sums.device, dtype=sums.dtype)
    wanted = wanted.expand(len(sums), -1).contiguous()
    frame = torch.searchsorted(sums + TOLERANCE, wanted).clamp(max=sums.shape[1] - 1)
    missing = (sums.gather(1, frame) - wanted).clamp(min=0)
    ends = frame + 1 - missing / alphas.gather(1, frame).clamp(min=TOLERANCE)
    last = wanted >= lengths.unsqueeze(1)
    return torch.where(last, num_frames.unsqueeze(1).to(ends.dtype), ends)


class CifPredictor(nn.Module):
    """alphas of frames: a convolution over 5 of them, LayerNorm, GELU, one output, sigmoid.

    "On Compressing Sequences", section 3: one convolution with as many channels as its input, and
    an output of dimension 1. The paper's MACs and parameters leave no room for another hidden
    layer. The last bias starts at logit(1 / rate), so training begins with about ``rate`` frames
    in a segment.
    """

    def __init__(self, dim: int, rate: float, dropout: float = 0.1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dim, dim, 5, padding=2)
        self.norm = nn.LayerNorm(dim)
        self.proj = nn.Linear(dim, 1)
        self.dropout = dropout
        nn.init.normal_(self.proj.weight, std=0.02)
        nn.init.constant_(self.proj.bias, -math.log(max(rate - 1, 0.01)))

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C), zero on padding -> (B, T) float32
        x = self.conv(x.transpose(1, 2)).transpose(1, 2)
        x = dropout(F.gelu(self.norm(x)), self.dropout, self.training)
        return self.proj(x).squeeze(2).float().sigmoid()
