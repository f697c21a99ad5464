"""Connectionist temporal classification (Graves et al., 2006): loss, greedy and beam decoding.

Shapes: B batch, T frames, S symbols, V vocabulary. The blank is class 0, ``<s>`` of a fairseq
dictionary, as in fairseq's own CTC criterion.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from fairseq_budget.losses import LossTerm
from fairseq_budget.nn.heads import greedy_path
from fairseq_budget.nn.lengths import padding_mask

BLANK = 0
NEVER = float("-inf")


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
    padded = padding_mask(num_frames.to(logits.device), logits.shape[1])
    path = greedy_path(logits, padded, blank).cpu()
    return [row[row >= 0].tolist() for row in path]


def beam_ctc(
    logits: Tensor, num_frames: Tensor, *, beam: int, blank: int = BLANK
) -> list[list[int]]:
    """The symbols that are likeliest over all their alignments, of the ``beam`` best prefixes.

    Prefix search ("First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
    Recurrent DNNs", algorithm 1, without a language model); a frame continues prefixes by its
    ``beam`` likeliest classes. logits (B, T, V) of any float type, num_frames (B,).
    """
    best = logits.detach().double().log_softmax(2).cpu().topk(min(beam, logits.shape[2]))
    return [
        _best_prefix(zip(classes[:length], scores[:length], strict=True), beam, blank)
        for classes, scores, length in zip(
            best.indices.tolist(), best.values.tolist(), num_frames.tolist(), strict=True
        )
    ]


def _best_prefix(
    frames: Iterable[tuple[list[int], list[float]]], beam: int, blank: int
) -> list[int]:
    """Of frames' classes and their log probabilities (nats)."""
    # log probabilities of all alignments of a prefix that end in a blank, and in its last symbol
    prefixes: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, NEVER)}
    for classes, scores in frames:
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [NEVER, NEVER])
        for prefix, (in_blank, in_symbol) in prefixes.items():
            either = _either(in_blank, in_symbol)
            for symbol, score in zip(classes, scores, strict=True):
                if symbol == blank:
                    _add(grown[prefix], 0, either + score)
                elif prefix[-1:] != (symbol,):
                    _add(grown[(*prefix, symbol)], 1, either + score)
                else:  # the same one goes on, or another follows after a blank
                    _add(grown[prefix], 1, in_symbol + score)
                    _add(grown[(*prefix, symbol)], 1, in_blank + score)
        kept = heapq.nlargest(beam, grown, key=lambda prefix: _either(*grown[prefix]))
        prefixes = {prefix: (grown[prefix][0], grown[prefix][1]) for prefix in kept}
    return list(next(iter(prefixes)))


def _add(log_probs: list[float], place: int, log_prob: float) -> None:
    log_probs[place] = _either(log_probs[place], log_prob)


def _either(first: float, second: float) -> float:
    return float(np.logaddexp(first, second))
