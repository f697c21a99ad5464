"""The Zipformer encoder: six stacks of layers at different frame rates and widths.

"Zipformer: A faster and better encoder for automatic speech recognition" (arXiv 2310.11230), as
k2SSL uses it for self-supervised learning (arXiv 2411.17100): 50 Hz in and out. Shapes as in
nn/encoder.py, parameter names are k2SSL's.

Differs from k2SSL: padding is masked everywhere (``mask_padding=False`` restores the recipe,
where it is not), and what zipformer_regularizers.py lists. Constant attention, which k2SSL's
recipe names but never applies, is left out.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.nn.lengths import zero_padding
from fairseq_budget.nn.zipformer.block import ZipformerLayer
from fairseq_budget.nn.zipformer.chance import EVAL, Chance, Scheduled, ScheduledFloat, masked
from fairseq_budget.nn.zipformer.layers import (
    Bypass,
    Downsample,
    relative_positions,
    upsample,
    with_channels,
)
from fairseq_budget.nn.zipformer.regularizers import Balancer, Whiten
from fairseq_budget.sizes import ZipformerSize

DROPOUT = ScheduledFloat((0, 0.3), (20000, 0.1))
POSITION_DROPOUT = 0.15
FEATURE_MASK_PROB = 0.125
WARMUP = 4000.0  # adjusted batches over which layers come in
ADJUSTED_BATCH_S = 600.0  # audio in an adjusted batch


class ZipformerStack(nn.Module):
    """Layers of one width at one frame rate; its layers come in one after the other in warm-up.

    ``channel_mask`` (B, 1, C) hides the same channels of an utterance before every layer.
    """

    def __init__(self, size: ZipformerSize, stack: int, dropout: Scheduled) -> None:
        super().__init__()
        self.pos_dim = size.pos_dim
        num_layers, num_stacks = size.encoder_layers[stack], len(size.encoder_layers)
        window = WARMUP / (num_stacks + 1)  # the first window is the front-end's
        last_prob = 0.035 * size.downsampling[stack] ** 0.5
        starts = [window * (stack + 1 + layer / num_layers) for layer in range(num_layers)]
        self.layers = nn.ModuleList(
            ZipformerLayer(
                size,
                stack,
                dropout=dropout,
                skip_prob=ScheduledFloat((start, 0.5), (start + window / num_layers, last_prob)),
            )
            for start in starts
        )

    def forward(
        self,
        x: Tensor,
        padding_mask: Tensor | None,
        channel_mask: Tensor | None = None,
        chance: Chance = EVAL,
    ) -> Tensor:
        positions = relative_positions(x.shape[1], self.pos_dim, x.device)
        positions = chance.dropout(positions, POSITION_DROPOUT)
        x = masked(x, channel_mask)
        for layer in self.layers:
            x = masked(layer(x, positions, padding_mask, chance), channel_mask)
        return x


class DownsampledStack(nn.Module):
    """A stack at a lower frame rate: down, layers, up again, bypassed as a whole."""

    def __init__(self, size: ZipformerSize, stack: int, dropout: Scheduled) -> None:
        super().__init__()
        self.factor = size.downsampling[stack]
        self.downsample = Downsample(self.factor)
        self.encoder = ZipformerStack(size, stack, dropout)
        self.out_combiner = Bypass(size.encoder_embed_dim[stack])

    def forward(
        self,
        x: Tensor,
        padding_mask: Tensor | None,
        channel_mask: Tensor | None = None,
        chance: Chance = EVAL,
    ) -> Tensor:
        # padding lies at the end: a group of frames is padding when its first one is
        coarse_mask = None if padding_mask is None else padding_mask[:, :: self.factor]
        y = self.encoder(self.downsample(x, padding_mask), coarse_mask, channel_mask, chance)
        return self.out_combiner(x, upsample(y, self.factor, x.shape[1]), chance)


class ZipformerEncoder(nn.Module):
    """All stacks, and the rule that makes one output of them.

    ``dropout`` (of the feed-forward networks; None falls from 0.3 to 0.1), ``balancers`` and
    ``whiten`` concern training alone. Schedules stand where ``set_adjusted_batch_count`` says, and
    before it speaks at their end, as fits an encoder that was trained before.
    """

    def __init__(
        self,
        size: ZipformerSize,
        *,
        dropout: float | None = None,
        balancers: bool = True,
        whiten: bool = True,
        mask_padding: bool = True,
    ) -> None:
        super().__init__()
        self.size = size
        self.mask_padding = mask_padding
        self.adjusted_batch_count = math.inf
        rate: Scheduled = DROPOUT if dropout is None else dropout
        self.encoders = nn.ModuleList(
            (ZipformerStack if factor == 1 else DownsampledStack)(size, stack, rate)
            for stack, factor in enumerate(size.downsampling)
        )
        # k2SSL's checkpoints and counts hold it, nothing reads it
        self.downsample_output = Downsample(1).requires_grad_(False)
        for module in self.modules():
            if isinstance(module, Balancer) and not balancers:
                module.prob = 0.0
            if isinstance(module, Whiten) and not whiten:
                module.prob = 0.0

    @property
    def input_dim(self) -> int:
        return self.size.encoder_embed_dim[0]

    @property
    def output_dim(self) -> int:
        return self.size.output_dim

    def set_adjusted_batch_count(self, count: float) -> None:
        """Progress of training: seconds of audio heard / ADJUSTED_BATCH_S."""
        self.adjusted_batch_count = count

    @property
    def num_layers(self) -> int:
        """Hidden states but the first: one of each stack."""
        return len(self.encoders)

    def keep_layers(self, num_layers: int) -> None:
        """Cut off the stacks above the first ones; states are as wide as the widest one left."""
        self.encoders = self.encoders[:num_layers]
        self.size = self.size.first_stacks(num_layers)

    def turn_off_layer_drop(self) -> None:
        """No layer is bypassed in training; what else is random stays."""
        for module in self.modules():
            if isinstance(module, Bypass):
                module.skip_prob = 0.0

    def forward(
        self, x: Tensor, padding_mask: Tensor | None, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """x (B, T, D0) -> L+1 hidden states (B, T, D): the input, and one after each stack.

        All are at the input's frame rate. Every channel of a state is that of the latest stack
        that has it (or of the input), zero where none has yet; the last state is the encoder's
        output. Padded frames (padding_mask (B, T), True = padding) never change a valid one.
        Randomness in training comes from ``generator`` (on the CPU) alone; in eval there is none.
        """
        mask = padding_mask if self.mask_padding else None
        chance = Chance(
            self.training,
            batch_count=self.adjusted_batch_count,
            generator=generator,
            device=x.device,
        )
        x = zero_padding(x, mask)
        states = [with_channels(x, self.output_dim)]
        dims = self.size.encoder_embed_dim
        for stack, dim, hidden in zip(
            self.encoders, dims, self._channel_masks(x, chance), strict=True
        ):
            x = stack(with_channels(x, dim), mask, hidden, chance)
            states.append(torch.cat([x, states[-1][..., dim:]], dim=2))
        return states

    def _channel_masks(self, x: Tensor, chance: Chance) -> list[Tensor | None]:
        """One (B, 1, C) mask per stack: utterances lose channels past u, the same ones in all.

        An eighth of utterances lose all channels past ``unmasked_dim``; of the others, an eighth
        the upper half of these.
        """
        shape = (x.shape[0], 1, 1)
        lower = chance.keep(shape, FEATURE_MASK_PROB, x)
        upper = chance.keep(shape, FEATURE_MASK_PROB, x)
        sizes = zip(self.size.encoder_embed_dim, self.size.unmasked_dim, strict=True)
        if lower is None or upper is None:
            return [None for _ in sizes]
        return [_channel_mask(dim, free, lower, lower * upper) for dim, free in sizes]


def _channel_mask(dim: int, free: int, lower: Tensor, upper: Tensor) -> Tensor:
    half = (dim - free) // 2
    kept = F.pad(lower.expand(-1, -1, half), (free, 0), value=1.0)
    return torch.cat([kept, upper.expand(-1, -1, dim - free - half)], dim=2)
