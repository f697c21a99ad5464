"""The transducer's lattice as a scan over symbols, with its occupations.

Graves, "Sequence Transduction with Recurrent Neural Networks", section 2.4. Node (s, t) has emitted
s symbols before frame t. Of its two arcs, the blank's goes on to (s, t+1), and the symbol's to
(s+1, t), or to (s+1, t+1) where a frame emits one symbol at most (k2's "modified" topology).

For a given s the blanks form a chain, so that all its frames are known at once: with
C[t] = the sum of log p(blank) before t, and a[t] what arrives from s-1,

    alpha[s, t] = C[t] + log sum_{t' <= t} exp(a[t'] - C[t'])

is one cumulative sum and one cumulative log-sum-exp: S + 1 steps instead of S x T. Each step is
an addition, a maximum and the log-sum-exp, of alpha and beta at once.

Shapes: B batch, S symbols, T frames. Probabilities are logarithms (nats), in float64 inside.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

INFINITY = float("inf")
LEAST = -1e4  # nats; a blank of probability 0 would leave C[t'] - C[t] undefined


class Lattice(NamedTuple):
    """Log-probability (B,) of all paths, and how often each arc is taken.

    log_prob has a gradient, and is -inf where no path exists. symbol_occupation (B, S, T) and
    blank_occupation (B, S+1, T), expected numbers of times, have none.
    """

    log_prob: Tensor
    symbol_occupation: Tensor
    blank_occupation: Tensor


def lattice(
    symbol: Tensor,
    blank: Tensor,
    *,
    num_symbols: Tensor,
    num_frames: Tensor,
    band: Tensor | None = None,
    one_per_frame: bool = False,
) -> Lattice:
    """Sum over all paths from (0, 0) to (num_symbols, num_frames).

    symbol (B, S, T), blank (B, S+1, T): log-probabilities of the arcs that leave node (s, t), in
    any float type; num_symbols, num_frames (B,) int64. band (B, S+1, T) bool: True where a node may
    be used; the nodes of one s must be neighbours. Nothing outside the band or in padding, NaN
    included, has an influence. Where no path exists the gradient is zero.
    """
    num_nodes, frames = blank.shape[1:]
    s = torch.arange(num_nodes, device=blank.device).view(1, -1, 1)
    t = torch.arange(frames + 1, device=blank.device)
    last_s, last_t = num_symbols.view(-1, 1, 1), num_frames.view(-1, 1, 1)
    arcs = (s <= last_s) & (t[:-1] < last_t)
    if band is not None:
        arcs = arcs & band
    final = (s == last_s) & (t == last_t)  # (B, S+1, T+1)
    symbol_arcs = (arcs & (s < last_s))[:, :-1]
    return Lattice(*_Lattice.apply(symbol, blank, symbol_arcs, arcs, final, one_per_frame))


class _Lattice(torch.autograd.Function):
    """Forward and backward scores; the gradient of log p in an arc is the arc's occupation."""

    @staticmethod
    def forward(
        ctx: Any,
        symbol: Tensor,
        blank: Tensor,
        symbol_arcs: Tensor,
        arcs: Tensor,
        final: Tensor,
        one_per_frame: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype = torch.promote_types(blank.dtype, torch.float32)
        symbol = symbol.double().masked_fill(~symbol_arcs, -INFINITY)
        step = blank.double().clamp(min=LEAST).masked_fill(~arcs, 0)
        chain = F.pad(step.cumsum(2), (1, 0))  # (B, S+1, T+1): C
        nodes = F.pad(arcs, (0, 1)) | final
        alpha, beta = _scores(symbol, chain, nodes, final, one_per_frame)
        log_prob = beta[:, 0, 0]
        start = alpha[..., :-1] - log_prob.nan_to_num(neginf=0).view(-1, 1, 1)
        start = start.masked_fill(~arcs, -INFINITY)
        after = beta[:, 1:, 1:] if one_per_frame else beta[:, 1:, :-1]
        symbol_occupation = (start[:, :-1] + symbol + after).exp().to(dtype)
        blank_occupation = (start + step + beta[..., 1:]).exp().to(dtype)
        ctx.save_for_backward(symbol_occupation, blank_occupation)
        ctx.mark_non_differentiable(symbol_occupation, blank_occupation)
        return log_prob.to(dtype), symbol_occupation, blank_occupation

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        symbol_occupation, blank_occupation = ctx.saved_tensors
        scale = grad.view(-1, 1, 1)
        return symbol_occupation * scale, blank_occupation * scale, None, None, None, None


def _scores(
    symbol: Tensor, chain: Tensor, nodes: Tensor, final: Tensor, one_per_frame: bool
) -> tuple[Tensor, Tensor]:
    """alpha and beta (B, S+1, T+1): log-probabilities of reaching a node, and the end from it.

    beta is the alpha of the lattice walked from its end, so both are one scan of twice the batch.
    A row is known by alpha - C, which is nothing but a cumulative log-sum-exp of what arrives.
    Where no node is, beta is -inf, and alpha means nothing.
    """
    start = torch.zeros_like(final)
    start[:, 0, 0] = nodes[:, 0, 0]
    late = int(one_per_frame)  # frames from a symbol's node to the next one's
    is_node = nodes[:, 1:, late : symbol.shape[2] + late]  # a symbol may lead out of the band
    symbol = symbol.masked_fill(~is_node, -INFINITY)
    into = F.pad(symbol, (late, 1 - late), value=-INFINITY)  # by the node that it leads to
    back = F.pad(symbol, (0, 1), value=-INFINITY).flip(1, 2)
    chain = torch.cat([chain, -chain.flip(1, 2)])
    begin = (-chain).masked_fill(~torch.cat([start, final.flip(1, 2)]), -INFINITY)
    into = torch.cat([into, back])
    into += _shifted(chain[:, :-1], late, 0.0)
    into -= chain[:, 1:]
    rows = [begin[:, 0].logcumsumexp(1)]
    for s in range(into.shape[1]):
        arrive = _shifted(rows[-1], late, -INFINITY) + into[:, s]
        rows.append(arrive.maximum(begin[:, s + 1]).logcumsumexp(1))
    alpha, beta = (chain + torch.stack(rows, 1)).chunk(2)
    return alpha, beta.flip(1, 2).masked_fill(~nodes, -INFINITY)


def _shifted(x: Tensor, frames: int, value: float) -> Tensor:
    """x (..., T) as many frames later, 0 or 1."""
    return F.pad(x[..., :-1], (1, 0), value=value) if frames else x
