"""Connectionist temporal classification (Graves et al., 2006): loss and greedy decoding.

Shapes: B batch, T frames, S symbols, V vocabulary. The blank is class 0, ``<s>`` of a fairseq
dictionary, as in fairseq's own CTC criterion.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fairseq_budget.losses import LossTerm
from fairseq_budget.nn.lengths import padding_mask

BLANK = 0


def ctc_loss(
    logits: Tensor, symbols: Tensor, *, num_frames: Tensor, num_symbols: Tensor, blank: int = BLANK
) -> LossTerm:
    """Sum of -log p(symbols) in float32 (nats), and the number of symbols.

    logits (B, T, V) of any float type, symbols (B, S) int64, lengths (B,) int64. Padding has no
    influence. An utterance with more symbols than its frames can spell adds nothing to either.
    """
    log_probs = logits.float().log_softmax(2).transpose(0, 1)  # (T, B, V)
    loss = F.ctc_loss(
        log_probs,
        symbols,
        num_frames,
        num_symbols,
        blank=blank,
        reduction="sum",
        zero_infinity=True,
    )
    return LossTerm(loss, (num_symbols * _can_spell(symbols, num_symbols, num_frames)).sum())


def _can_spell(symbols: Tensor, num_symbols: Tensor, num_frames: Tensor) -> Tensor:
    """(B,) bool: there is a frame for every symbol, and for a blank between equal neighbours."""
    doubled = symbols[:, 1:] == symbols[:, :-1]
    doubled = doubled & ~padding_mask(num_symbols - 1, doubled.shape[1])
    return num_frames >= num_symbols + doubled.sum(1)


def greedy_ctc(logits: Tensor, num_frames: Tensor, blank: int = BLANK) -> list[list[int]]:
    """The best class of each frame, repetitions and blanks removed: one list per utterance."""
    best, num_frames = logits.argmax(2).cpu(), num_frames.cpu()  # (B, T)
    changed = F.pad(best[:, 1:] != best[:, :-1], (1, 0), value=True)
    kept = changed & (best != blank) & ~padding_mask(num_frames, best.shape[1])
    return [row[keep].tolist() for row, keep in zip(best, kept, strict=True)]
