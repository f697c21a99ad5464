"""Decoding of the transducer: greedy, and beam search with one symbol per frame at most.

The beam search is the recipe's "modified beam search": of all hypotheses and their one-symbol
extensions the best few are kept per frame, equal symbol sequences are merged (their probabilities
add up), and the winner is chosen by log-probability per symbol at the end. All utterances of a
batch advance together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fairseq_budget.asr.predictor import CONTEXT, TransducerHead, with_start
from fairseq_budget.nn.lengths import take_rows

PADDING = -1


@torch.no_grad()
def greedy_search(head: TransducerHead, encoded: Tensor, num_frames: Tensor) -> list[list[int]]:
    """The symbols of each utterance, the best one of each frame in turn.

    encoded (B, T, D), num_frames (B,); padded frames are not looked at.
    """
    projected = head.joiner.encoder_proj(encoded)  # (B, T, J)
    context = _start(head, len(encoded), encoded.device)  # (B, CONTEXT)
    best = []
    for t in range(encoded.shape[1]):
        predicted = head.joiner.decoder_proj(head.decoder(context)).squeeze(1)
        symbol = head.joiner(projected[:, t], predicted).argmax(1)
        symbol = symbol.masked_fill(t >= num_frames, head.blank)
        emits = (symbol != head.blank).unsqueeze(1)
        context = torch.where(emits, _append(context, symbol), context)
        best.append(symbol)
    rows = torch.stack(best, 1).tolist() if best else [[]] * len(encoded)
    return [[symbol for symbol in row if symbol != head.blank] for row in rows]


@torch.no_grad()
def beam_search(
    head: TransducerHead, encoded: Tensor, num_frames: Tensor, *, beam: int = 8
) -> list[list[int]]:
    """The most probable symbol sequences; arguments as for ``greedy_search``.

    Probabilities are those of the lattice with one symbol per frame at most; a beam as large as the
    number of sequences makes the search exact.
    """
    projected = head.joiner.encoder_proj(encoded)  # (B, T, J)
    state = _empty_beam(head, encoded, beam)
    for t in range(encoded.shape[1]):
        going_on = t < num_frames
        pairs = zip(_advance(head, state, projected[:, t]), state, strict=True)
        state = _Beam(
            *(torch.where(going_on.view(-1, *[1] * (x.dim() - 1)), x, old) for x, old in pairs)
        )
    # the recipe counts the context as symbols, so an empty sequence has a length, too
    winner = (state.score / (state.length + CONTEXT)).argmax(1, keepdim=True)
    rows = take_rows(state.tokens, winner).squeeze(1).tolist()
    return [[symbol for symbol in row if symbol != PADDING] for row in rows]


class _Beam(NamedTuple):
    """K hypotheses of each utterance.

    Log-probability and number of symbols (B, K), what the predictor sees (B, K, CONTEXT), all
    symbols (B, K, T) filled up with PADDING.
    """

    score: Tensor
    length: Tensor
    context: Tensor
    tokens: Tensor


def _empty_beam(head: TransducerHead, encoded: Tensor, beam: int) -> _Beam:
    batch, frames, _ = encoded.shape
    score = encoded.new_full((batch, beam), float("-inf"), dtype=torch.float32)
    score[:, 0] = 0  # the others are the same empty sequence
    context = _start(head, batch * beam, encoded.device)
    length = context.new_zeros(batch, beam)
    tokens = context.new_full((batch, beam, frames), PADDING)
    return _Beam(score, length, context.view(batch, beam, CONTEXT), tokens)


def _advance(head: TransducerHead, state: _Beam, frame: Tensor) -> _Beam:
    """All hypotheses after one more frame (B, J)."""
    predicted = head.joiner.decoder_proj(head.decoder(state.context.flatten(0, 1)))
    logits = head.joiner(frame.unsqueeze(1), predicted.view(*state.score.shape, -1))  # (B, K, V)
    extended = state.score.unsqueeze(2) + logits.log_softmax(2, dtype=torch.float32)
    score, choice = extended.flatten(1).topk(state.score.shape[1], 1)
    symbol, parent = choice % logits.shape[2], choice // logits.shape[2]
    emits = symbol != head.blank
    length, context = state.length.gather(1, parent), take_rows(state.context, parent)
    context = torch.where(emits.unsqueeze(2), _append(context, symbol), context)
    written = symbol.masked_fill(~emits, PADDING).unsqueeze(2)  # a blank: padding over padding
    tokens = take_rows(state.tokens, parent).scatter(2, length.unsqueeze(2), written)
    return _Beam(_merge(score, tokens), length + emits, context, tokens)


def _merge(score: Tensor, tokens: Tensor) -> Tensor:
    """Give the first of equal sequences the sum of their probabilities, the others none."""
    same = (tokens.unsqueeze(1) == tokens.unsqueeze(2)).all(3)  # (B, K, K)
    merged = score.unsqueeze(1).masked_fill(~same, float("-inf")).logsumexp(2)
    return merged.masked_fill(same.tril(-1).any(2), float("-inf"))


def _start(head: TransducerHead, num_rows: int, device: torch.device) -> Tensor:
    return with_start(torch.empty(num_rows, 0, dtype=torch.long, device=device), head.blank)


def _append(context: Tensor, symbol: Tensor) -> Tensor:
    return torch.cat([context[..., 1:], symbol.unsqueeze(-1)], -1)
