"""Span masks and TERA's other alterations, drawn from explicit generators."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def seed_from(*keys: int) -> int:
    """A 63-bit seed that is a function of ``keys`` alone, e.g. (seed, epoch, utterance).

    A hash, so that neighbouring keys give unrelated streams on every platform.
    """
    digest = hashlib.blake2b(np.asarray(keys, dtype="<i8").tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def span_mask(
    num_frames: int, *, prob: float, length: int, min_masks: int, rng: np.random.Generator
) -> np.ndarray:
    """Choose the frames of one utterance to hide, as HuBERT and wav2vec 2.0 do.

    About ``prob * num_frames / length`` spans of ``length`` frames start at distinct random
    frames; spans may overlap, so the masked share stays below ``prob`` (for .8 and 10: about
    .55). The number of spans is rounded at random and is at least ``min_masks``. The last frame
    is never masked (as in fairseq): TERA has no target there when the length is unlucky.
    Utterances shorter than a span are masked up to it; a single frame is not masked.
    Returns (num_frames,) bool, True = masked. Source: wav2vec 2.0, section 3.1.
    """
    mask = np.zeros(num_frames, dtype=bool)
    if num_frames < 2 or prob == 0:
        return mask
    num_spans = max(min_masks, int(prob * num_frames / length + rng.random()))
    length = min(length, num_frames - 1)
    num_starts = num_frames - length
    starts = rng.choice(num_starts, min(num_spans, num_starts), replace=False)
    mask[(starts[:, None] + np.arange(length)).ravel()] = True
    return mask


@dataclass(frozen=True)
class Masking:
    """Span masks in time: share of frames that start a span, its length in frames.

    ``equal``: afterwards, masked frames are taken back until all utterances of a batch have
    equally many (fairseq's ``require_same_masks``).
    """

    prob: float
    length: int
    min_masks: int = 2
    equal: bool = False

    def batch(self, lengths: np.ndarray, rngs: Iterable[np.random.Generator]) -> np.ndarray:
        """Masks (B, T) bool of utterances of so many frames, each drawn from its own generator.

        With ``equal`` the generators decide which frames go, batch mates only how many.
        """
        mask, rngs = np.zeros((len(lengths), lengths.max()), dtype=bool), list(rngs)
        for row, num_frames, rng in zip(mask, lengths, rngs, strict=True):
            row[:num_frames] = span_mask(
                int(num_frames),
                prob=self.prob,
                length=self.length,
                min_masks=self.min_masks,
                rng=rng,
            )
        if self.equal:
            _take_back(mask, rngs)
        return mask


def _take_back(mask: np.ndarray, rngs: Iterable[np.random.Generator]) -> None:
    """Leave as many frames in each row as the row with the fewest has, empty rows aside."""
    counts = mask.sum(1)
    fewest = counts[counts > 0].min(initial=mask.shape[1])
    for row, rng in zip(mask, rngs, strict=True):
        row[rng.permutation(np.flatnonzero(row))[fewest:]] = False


def mask_channel_block(x: Tensor, *, max_width: float, generator: torch.Generator) -> Tensor:
    """Set one random block of channels of each utterance to zero (TERA, section III-B.2).

    x (B, T, C). The block's width is uniform over 0 ... ``max_width * C`` channels, its start
    uniform over all places where it fits; all frames of an utterance share it.
    """
    batch, _, channels = x.shape
    uniform = torch.rand(batch, 2, 1, device=x.device, generator=generator)
    width = (uniform[:, 0] * (int(max_width * channels) + 1)).floor()
    start = (uniform[:, 1] * (channels - width + 1)).floor()
    channel = torch.arange(channels, device=x.device)
    block = (channel >= start) & (channel < start + width)  # (B, C)
    return x.masked_fill(block.unsqueeze(1), 0)


def add_magnitude_noise(
    x: Tensor, *, prob: float, std: float, generator: torch.Generator
) -> Tensor:
    """Add Gaussian noise of ``std`` to each utterance with probability ``prob`` (TERA, III-B.3).

    x (B, T, C); drawn in float32 whatever the dtype of ``x``.
    """
    chosen = torch.rand(len(x), 1, 1, device=x.device, generator=generator) < prob
    noise = torch.randn(x.shape, device=x.device, generator=generator) * std
    return x + (noise * chosen).to(x.dtype)
