"""The transducer's small parts: stateless predictor, joiner, and the head that trains them.

k2SSL's fine-tuning recipe (Zipformer's): the predictor sees the last two symbols only
("RNN-transducer with stateless prediction network", Ghodsi et al.). Parameter names are the
recipe's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.asr.pruning import window_starts, windows
from fairseq_budget.asr.transducer import negative_log_prob, simple_lattice, transducer_loss
from fairseq_budget.losses import LossTerm
from fairseq_budget.nn.grouped_conv import GroupedConv1d

CONTEXT = 2  # symbols that the predictor sees
CHANNELS_PER_GROUP = 4  # of the predictor's convolution
INITIAL_SCALE = 0.25  # of the projections, so that first probabilities are nearly uniform
PRUNE_RANGE = 5
LM_SCALE = 0.25
NOTHING = -1  # stands before the first blank, with a zero embedding


class StatelessPredictor(nn.Module):
    """Embedding, grouped convolution over ``CONTEXT`` symbols, ReLU."""

    def __init__(self, vocab_size: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dim)
        groups = dim // CHANNELS_PER_GROUP
        self.conv = GroupedConv1d(dim, dim, CONTEXT, groups=groups, bias=False)

    def forward(self, context: Tensor) -> Tensor:
        """context (N, CONTEXT - 1 + U) int64, NOTHING where there is no symbol -> (N, U, D)."""
        embedded = self.embedding(context.clamp(min=0)) * (context >= 0).unsqueeze(2)
        return self.conv(embedded.transpose(1, 2)).relu().transpose(1, 2)


class Joiner(nn.Module):
    """Linear(tanh(encoder's projection + predictor's projection)): logits over the vocabulary."""

    def __init__(self, encoder_dim: int, decoder_dim: int, dim: int, vocab_size: int) -> None:
        super().__init__()
        self.encoder_proj = small_linear(encoder_dim, dim)
        self.decoder_proj = small_linear(decoder_dim, dim)
        self.output_linear = nn.Linear(dim, vocab_size)

    def forward(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """Both already projected, of shapes that broadcast: (..., J) -> (..., V)."""
        return self.output_linear(torch.tanh(encoded + predicted))


class TransducerLosses(NamedTuple):
    """Of the trivial joiner on the full lattice, and of the full joiner on the pruned one."""

    simple: LossTerm
    pruned: LossTerm


class TransducerHead(nn.Module):
    """Everything of a transducer but its encoder; symbol 0 is the blank."""

    blank = 0

    def __init__(
        self, encoder_dim: int, vocab_size: int, *, decoder_dim: int = 512, joiner_dim: int = 512
    ) -> None:
        super().__init__()
        self.decoder = StatelessPredictor(vocab_size, decoder_dim)
        self.joiner = Joiner(encoder_dim, decoder_dim, joiner_dim, vocab_size)
        self.simple_am_proj = small_linear(encoder_dim, vocab_size)
        self.simple_lm_proj = small_linear(decoder_dim, vocab_size)

    def forward(
        self,
        encoded: Tensor,
        symbols: Tensor,
        *,
        num_frames: Tensor,
        num_symbols: Tensor,
        prune_range: int = PRUNE_RANGE,
    ) -> TransducerLosses:
        """encoded (B, T, D), symbols (B, S) int64 without blanks, padded with any of them."""
        ends: dict[str, Any] = {"num_frames": num_frames, "num_symbols": num_symbols}
        size = min(prune_range, symbols.shape[1] + 1)
        predicted = self.decoder(with_start(symbols, self.blank))  # (B, S+1, D)
        am, lm = self.simple_am_proj(encoded), self.simple_lm_proj(predicted)
        simple = simple_lattice(am, lm, symbols, blank=self.blank, lm_scale=LM_SCALE, **ends)
        starts = window_starts(simple, prune_range=size, **ends)
        kept = take_positions(self.joiner.decoder_proj(predicted), windows(starts, size))
        logits = self.joiner(self.joiner.encoder_proj(encoded).unsqueeze(2), kept)  # (B, T, R, V)
        pruned = transducer_loss(logits, symbols, starts=starts, blank=self.blank, **ends)
        return TransducerLosses(negative_log_prob(simple, num_symbols), pruned)


def loss_weights(num_updates: int, warmup_updates: int = 2000) -> tuple[float, float]:
    """The recipe's weights of the simple and the pruned loss: 1.0 and 0.1, then 0.5 and 1.0."""
    done = min(num_updates / warmup_updates, 1.0)
    return 1.0 - 0.5 * done, 0.1 + 0.9 * done


def with_start(symbols: Tensor, blank: int = 0) -> Tensor:
    """symbols (N, U) behind the context of an utterance's first: NOTHING and a blank."""
    return F.pad(F.pad(symbols, (1, 0), value=blank), (CONTEXT - 1, 0), value=NOTHING)


def take_positions(x: Tensor, positions: Tensor) -> Tensor:
    """x (B, U, D) at positions (B, T, R) -> (B, T, R, D).

    An embedding's gradient is summed faster than that of indexing.
    """
    offset = x.shape[1] * torch.arange(len(x), device=x.device).view(-1, 1, 1)
    return F.embedding(positions + offset, x.flatten(0, 1))


def small_linear(in_dim: int, out_dim: int) -> nn.Linear:
    """A linear layer that starts with small outputs, as in the recipe."""
    layer = nn.Linear(in_dim, out_dim)
    with torch.no_grad():
        layer.weight.mul_(INITIAL_SCALE)
        layer.bias.uniform_(-0.1 * INITIAL_SCALE, 0.1 * INITIAL_SCALE)
    return layer
