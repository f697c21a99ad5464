"""The transducer loss: on the full lattice, with a trivial joiner, and pruned.

Kuang et al., "Pruned RNN-T for fast, memory-efficient ASR training": a joiner that only adds
encoder and predictor logits gives a loss without ever holding (B, T, S+1, V) logits; its
occupations say which nodes the full joiner has to see.

Shapes: B batch, T frames, S symbols, R window, V vocabulary. Lengths are (B,) int64. Losses are
sums of -log p in nats, in float32 (float64 for float64 input) whatever autocast says; their count
is the number of symbols. Padded frames and symbols never change them; padded symbols must be below
V. An utterance that no path can explain adds nothing to either.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_budget.asr.lattice import Lattice, lattice
from fairseq_budget.asr.pruning import windows
from fairseq_budget.losses import LossTerm

Arcs = tuple[Tensor, Tensor]


def transducer_loss(
    logits: Tensor,
    symbols: Tensor,
    *,
    num_frames: Tensor,
    num_symbols: Tensor,
    starts: Tensor | None = None,
    blank: int = 0,
    one_per_frame: bool = False,
) -> LossTerm:
    """The loss of a full joiner's logits, on all nodes or on a window of each frame.

    logits (B, T, R, V): positions starts .. starts + R - 1 of each frame, starts (B, T) as
    ``window_starts`` chose them; without starts R is S + 1. symbols (B, S) int64.
    """
    batch, frames, size, _ = logits.shape
    if starts is None:
        starts = symbols.new_zeros(batch, frames)
    positions = windows(starts, size)  # (B, T, R)
    next_symbols = F.pad(symbols, (0, 1), value=blank)  # none after the last
    emitted = next_symbols.unsqueeze(1).expand(-1, frames, -1).gather(2, positions)
    log_probs = logits.log_softmax(-1, dtype=_precise(logits))
    symbol = _spread(log_probs.gather(3, emitted.unsqueeze(3)).squeeze(3), positions, next_symbols)
    paths = lattice(
        symbol[:, :-1],
        _spread(log_probs[..., blank], positions, next_symbols),
        num_symbols=num_symbols,
        num_frames=num_frames,
        band=_spread(torch.ones_like(positions, dtype=torch.bool), positions, next_symbols),
        one_per_frame=one_per_frame,
    )
    return negative_log_prob(paths, num_symbols)


def simple_lattice(
    am: Tensor,
    lm: Tensor,
    symbols: Tensor,
    *,
    num_frames: Tensor,
    num_symbols: Tensor,
    blank: int = 0,
    lm_scale: float = 0.0,
    one_per_frame: bool = False,
) -> Lattice:
    """The lattice of the trivial joiner, whose logits at (s, t) are am[t] + lm[s].

    am (B, T, V) from the encoder, lm (B, S+1, V) from the predictor, symbols (B, S). The paper's
    smoothing mixes its log-probabilities with those of lm alone (weight ``lm_scale``); its third
    part, of am alone, has no weight in k2SSL's recipe and is left out.
    """
    with torch.autocast(am.device.type, enabled=False):
        am, lm = am.to(_precise(am)), lm.to(_precise(lm))
        symbol, blanks = _joint_arcs(am, lm, symbols, blank)
        if lm_scale:
            lm_symbol, lm_blanks = _joint_arcs(torch.zeros_like(am[:, :1]), lm, symbols, blank)
            symbol, blanks = symbol.lerp(lm_symbol, lm_scale), blanks.lerp(lm_blanks, lm_scale)
    return lattice(
        symbol, blanks, num_symbols=num_symbols, num_frames=num_frames, one_per_frame=one_per_frame
    )


def negative_log_prob(paths: Lattice, num_symbols: Tensor) -> LossTerm:
    """The loss of a lattice; utterances without any path are left out of sum and count."""
    loss, left_out = -paths.log_prob, paths.log_prob.isinf()
    return LossTerm(loss.masked_fill(left_out, 0).sum(), num_symbols.masked_fill(left_out, 0).sum())


def _joint_arcs(am: Tensor, lm: Tensor, symbols: Tensor, blank: int) -> Arcs:
    """log softmax(am[t] + lm[s]) at the next symbol, (B, S, T), and at blank, (B, S+1, T)."""
    am_max, lm_max = am.detach().amax(2, keepdim=True), lm.detach().amax(2, keepdim=True)
    product = (lm - lm_max).exp() @ (am - am_max).exp().transpose(1, 2)  # (B, S+1, T)
    tiny = torch.finfo(product.dtype).tiny  # both peaks may lie far apart
    normaliser = product.clamp(min=tiny).log() + lm_max + am_max.transpose(1, 2)
    frames = am.shape[1]
    am_symbol = am.gather(2, symbols.unsqueeze(1).expand(-1, frames, -1)).transpose(1, 2)
    lm_symbol = lm[:, :-1].gather(2, symbols.unsqueeze(2))  # (B, S, 1)
    am_blank, lm_blank = am[:, :, blank].unsqueeze(1), lm[:, :, blank].unsqueeze(2)
    return am_symbol + lm_symbol - normaliser[:, :-1], am_blank + lm_blank - normaliser


def _spread(values: Tensor, positions: Tensor, next_symbols: Tensor) -> Tensor:
    """values (B, T, R) of each frame's window -> (B, S+1, T), zero outside of the windows."""
    batch, frames, _ = values.shape
    full = values.new_zeros(batch, frames, next_symbols.shape[1])
    return full.scatter(2, positions, values).transpose(1, 2)


def _precise(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
