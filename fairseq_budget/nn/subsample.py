"""Shortening a sequence of frames, and what must follow it: targets, labels, masks, output.

Four ways ("On Compressing Sequences for Self-Supervised Speech Models", sections 2 and 5): means of
every ``rate`` frames, a strided convolution, CIF, and the means of given segments. Each yields
shorter features and the `Segments` by which they were shortened, so that a teacher's output or a
label is pooled by the very same weights.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError, expected_one_of
from fairseq_budget.nn.cif import CifPredictor, fired_frames, integrate_and_fire, num_segments
from fairseq_budget.nn.lengths import num_groups, padding_mask, zero_padding

KINDS = ("none", "average", "conv", "cif", "segments")
MAX_RATE = 50  # a segment of one second: beyond it, short utterances would have no frame left


class Segments(ABC):
    """Consecutive segments of a batch's frames: T frames in, K segments out.

    ``lengths`` (B,) counts the segments of each utterance; None when all have K.
    """

    size: int  # K
    lengths: Tensor | None
    alphas: Tensor | None = None  # (B, T) float32, zero on padding, where CIF found the segments

    @property
    def padding_mask(self) -> Tensor | None:
        """(B, K), True on padding, or None when nothing is padded."""
        return None if self.lengths is None else padding_mask(self.lengths, self.size)

    @abstractmethod
    def pool(self, x: Tensor) -> Tensor:
        """x (B, T, C) -> the weighted mean of each segment (B, K, C), in float32."""

    @abstractmethod
    def frame_index(self) -> Tensor:
        """(B, T) int64: the segment that integrated each frame, or most of it."""

    @abstractmethod
    def ends(self) -> Tensor:
        """(B, K) float64: where each segment ends, in frames; padded ones end with the last."""

    @abstractmethod
    def num_frames(self) -> Tensor:
        """(B,) int64: the frames of each utterance."""

    def measured_lengths(self) -> NDArray[np.int64] | None:
        """``lengths`` on the host, where they follow from more than those of the utterances."""
        return None

    def detached(self) -> Segments:
        """The same segments, as constants."""
        return self

    def expand(self, y: Tensor) -> Tensor:
        """y (B, K, D) -> (B, T, D): each segment is repeated over its frames."""
        index = self.frame_index().unsqueeze(2).expand(-1, -1, y.shape[2])
        return y.gather(1, index)

    def pool_mask(self, mask: Tensor) -> Tensor:
        """mask (B, T) bool -> (B, K) bool: segments of which half is masked, at least."""
        return self.pool(mask.unsqueeze(2).float()).squeeze(2) >= 0.5

    def expand_mask(self, mask: Tensor, frame_padding: Tensor | None) -> Tensor:
        """mask (B, K) bool -> (B, T) bool, False on padding: the frames of masked segments."""
        frames = self.expand(mask.unsqueeze(2)).squeeze(2)
        return frames if frame_padding is None else frames & ~frame_padding

    def pool_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        """labels (B, T) int64 -> (B, K): the one that lasts longest in a segment."""
        return self.pool(F.one_hot(labels, num_classes).float()).argmax(2)


class RegularSegments(Segments):
    """``rate`` frames of ``x`` (B, T, C) each; an utterance's last one has what is left."""

    def __init__(self, x: Tensor, mask: Tensor | None, rate: int) -> None:
        self.rate, self._mask, self._num_frames = rate, mask, x.shape[1]
        self.size = num_groups(x.shape[1], rate)
        valid = x.new_ones(x.shape[:2], dtype=torch.float32) if mask is None else (~mask).float()
        self._counts = self.windows(valid.unsqueeze(2)).sum(2)  # (B, K, 1)
        self.lengths = None if mask is None else (self._counts.squeeze(2) > 0).sum(1)

    def windows(self, x: Tensor) -> Tensor:
        """x (B, T, C) -> (B, K, rate, C), zero where there is no frame."""
        missing = self.size * self.rate - x.shape[1]
        padded = F.pad(zero_padding(x, self._mask), (0, 0, 0, missing))
        return padded.unflatten(1, (self.size, self.rate))

    def pool(self, x: Tensor) -> Tensor:
        return self.windows(x.float()).sum(2) / self._counts.clamp(min=1)

    def frame_index(self) -> Tensor:
        time = torch.arange(self._num_frames, device=self._counts.device)
        return (time // self.rate).expand(self._counts.shape[0], -1)

    def ends(self) -> Tensor:
        return self._counts.squeeze(2).double().cumsum(1)

    def num_frames(self) -> Tensor:
        return self._counts.sum((1, 2)).long()


class WeightedSegments(Segments):
    """CIF's segments: ``weights`` (B, K, T) float32, whose rows sum to 1."""

    lengths: Tensor

    def __init__(
        self, alphas: Tensor, mask: Tensor | None, max_segments: int | None = None
    ) -> None:
        self.alphas = alphas if mask is None else alphas.masked_fill(mask, 0)
        self._mask = mask
        self._known: NDArray[np.int64] | None = None
        if max_segments is None and not torch.compiler.is_exporting():
            # a shape, for which the host waits, and once only; a graph has no host
            sums = self.alphas.detach().double().cumsum(1)
            self._known = num_segments(sums[:, -1]).cpu().numpy()
            max_segments = int(self._known.max())
        self.weights, self.lengths = integrate_and_fire(self.alphas, max_segments)
        self.size = self.weights.shape[1]

    def measured_lengths(self) -> NDArray[np.int64]:
        return self.lengths.cpu().numpy() if self._known is None else self._known

    def detached(self) -> Segments:
        constant = copy.copy(self)
        constant.weights = self.weights.detach()
        return constant

    def pool(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.weights @ zero_padding(x.float(), self._mask)

    def frame_index(self) -> Tensor:
        share, most = self.weights.detach().max(1)
        last = self.lengths.unsqueeze(1) - 1
        return torch.where(share > 0, most, last)  # the last one has the frames that were dropped

    def num_frames(self) -> Tensor:
        if self._mask is None:
            return torch.full_like(self.lengths, self.weights.shape[2])
        return (~self._mask).sum(1)

    def ends(self) -> Tensor:
        assert self.alphas is not None
        return fired_frames(self.alphas.detach(), self.lengths, self.num_frames())


class GivenSegments(WeightedSegments):
    """Segments from a file: ``ends`` (B, K) int64 in frames; padded ones end with the last."""

    def __init__(self, ends: Tensor, mask: Tensor | None, num_frames: int) -> None:
        super().__init__(target_alphas(ends, num_frames), mask, ends.shape[1])
        self.alphas = None  # nothing was found here
        self._ends = ends

    def ends(self) -> Tensor:
        return self._ends.double()


def target_alphas(ends: Tensor, num_frames: int) -> Tensor:
    """The alphas that fire exactly at ``ends``: one over the duration of a frame's segment.

    ends (B, K) int64, the number of frames before each segment's end; entries beyond an utterance's
    last segment repeat its end. Returns (B, num_frames) float64, zero past the end. "On Compressing
    Sequences", eq. 5, with segments [e_{k-1}, e_k).
    """
    time = torch.arange(num_frames, device=ends.device).expand(len(ends), -1).contiguous()
    segment = torch.searchsorted(ends, time, right=True)
    durations = torch.diff(F.pad(ends, (1, 0)), dim=1).clamp(min=1)
    alphas = 1 / durations.double().gather(1, segment.clamp(max=ends.shape[1] - 1))
    return alphas.masked_fill(segment >= ends.shape[1], 0)


class Subsampler(nn.Module):
    """(B, T, C) -> (B, K, C) and the segments; one of 'average', 'conv', 'cif', 'segments'."""

    def __init__(self, kind: str, rate: float, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        check_subsampling(kind, rate)
        self.kind, self.rate = kind, rate
        if kind == "conv":
            self.conv = nn.Conv1d(dim, dim, int(rate), int(rate))
        if kind == "cif":
            self.cif = CifPredictor(dim, rate, dropout)

    def forward(
        self, x: Tensor, mask: Tensor | None, ends: Tensor | None = None
    ) -> tuple[Tensor, Segments]:
        """mask (B, T), True = padding; ends (B, K) of given segments.

        'segments' without ``ends`` falls back to regular ones of ``rate`` frames: what is known at
        test time when there is no segmentation.
        """
        x = zero_padding(x, mask)
        if self.kind == "cif":
            found = WeightedSegments(self.cif(x), mask)
            return found.pool(x).to(x.dtype), found
        if ends is not None and self.kind == "segments":
            given = GivenSegments(ends, mask, x.shape[1])
            return given.pool(x).to(x.dtype), given
        regular = RegularSegments(x, mask, max(1, round(self.rate)))
        if self.kind == "conv":
            windows = regular.windows(x).flatten(1, 2)  # (B, K * rate, C)
            return self.conv(windows.transpose(1, 2)).transpose(1, 2), regular
        return regular.pool(x).to(x.dtype), regular


class Upsampler(nn.Module):
    """(B, K, D) -> (B, T, D): a transposed convolution after 'conv', else repetition."""

    def __init__(self, kind: str, rate: float, dim: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(dim, dim, int(rate), int(rate)) if kind == "conv" else None

    def forward(self, y: Tensor, segments: Segments, num_frames: int) -> Tensor:
        if self.conv is None:
            return segments.expand(y)
        y = zero_padding(y, segments.padding_mask)
        return self.conv(y.transpose(1, 2)).narrow(2, 0, num_frames).transpose(1, 2)


def check_subsampling(kind: str, rate: float) -> None:
    """Raise BudgetError for an unknown kind or an impossible rate."""
    if kind not in KINDS:
        raise BudgetError(f"model.subsample={kind!r}: {expected_one_of(kind, KINDS)}")
    whole = kind not in ("average", "conv") or rate % 1 == 0
    if kind != "none" and not (1 <= rate <= MAX_RATE and whole):
        raise BudgetError(
            f"model.subsample_rate={rate:g} with model.subsample={kind}: expected the frames of a "
            f"segment, {'1' if whole else 'a whole number of 1'} to {MAX_RATE}; more would leave "
            "no frame of short utterances"
        )
