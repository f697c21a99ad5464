"""Bounds of the pruned transducer: the few nodes of each frame that are worth the full joiner.

Kuang et al., "Pruned RNN-T for fast, memory-efficient ASR training", section 3. For every frame a
window of neighbouring symbol positions is kept, chosen by the occupations of the simple loss.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_budget.asr.lattice import Lattice


def window_starts(
    simple: Lattice,
    *,
    num_symbols: Tensor,
    num_frames: Tensor,
    prune_range: int,
    one_per_frame: bool = False,
) -> Tensor:
    """The first position s of each frame's window of ``prune_range`` positions: (B, T) int64.

    A window is worth its blanks' occupation less that of the symbol which enters it from below. The
    starts are then made a staircase that a path can climb: from 0 to num_symbols + 1 - prune_range,
    never falling, rising by less than prune_range per frame (by one where a frame emits one symbol
    at most). An utterance with fewer positions than the window starts at 0 throughout. Where the
    staircase is too short for the symbols (more than prune_range - 1 per frame), no path is left.
    """
    blanks, symbols = simple.blank_occupation, simple.symbol_occupation  # (B, S+1, T), (B, S, T)
    inside = blanks.unfold(1, prune_range, 1).sum(-1)  # (B, windows, T)
    entering = F.pad(symbols, (0, 0, 1, 0))[:, : inside.shape[1]]
    last = (num_symbols + 1 - prune_range).clamp(min=0).unsqueeze(1)  # (B, 1)
    position = torch.arange(inside.shape[1], device=last.device)
    worth = (inside - entering).masked_fill((position > last).unsqueeze(2), float("-inf"))
    frame = torch.arange(inside.shape[2], device=last.device)
    starts = torch.where(frame < num_frames.unsqueeze(1) - 1, worth.argmax(1), last)
    return _staircase(starts, 1 if one_per_frame else prune_range - 1)


def windows(starts: Tensor, size: int) -> Tensor:
    """starts (B, T) -> the positions in each window: (B, T, size)."""
    return starts.unsqueeze(2) + torch.arange(size, device=starts.device)


def _staircase(starts: Tensor, rise: int) -> Tensor:
    """Lower starts until none falls, then raise them until none rises by more; the first is 0."""
    slope = rise * torch.arange(starts.shape[1], device=starts.device)
    room = _lower_bound(slope - _lower_bound(starts)).clamp(min=0)
    return slope - room


def _lower_bound(x: Tensor) -> Tensor:
    """The least value from each frame on: the greatest sequence below x that never falls."""
    return x.flip(1).cummin(1).values.flip(1)
