"""What TERA reconstructs: acoustic features of the waveform, at the encoder's frame rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fairseq_budget.audio.mfcc import MFCC, LogMel, normalize_frames, num_mfcc_frames, stack_pairs
from fairseq_budget.errors import BudgetError


class AcousticTarget(nn.Module):
    """Pairs of 10 ms frames: 78 values of MFCC with deltas, or 160 of log-mel.

    "Efficient Training ... on a Compute Budget" uses 'mfcc' without normalisation; TERA itself
    80 log-mel bands with per-utterance normalisation. Without parameters, in float32 whatever
    surrounds it, never differentiated.
    """

    def __init__(self, kind: str, *, normalize: bool) -> None:
        super().__init__()
        if kind not in ("mfcc", "logmel"):
            raise BudgetError(f"model.target={kind!r}: expected 'mfcc' or 'logmel'")
        self.features = MFCC() if kind == "mfcc" else LogMel()
        self.dim = 78 if kind == "mfcc" else 160
        self.normalize = normalize

    @torch.no_grad()
    def forward(self, wave: Tensor, num_samples: Tensor | None = None) -> Tensor:
        """wave (B, S) float32 -> (B, T', F) float32 at 50 Hz.

        T' is the encoder's number of frames, or one less (a pair spans 560 samples, a frame 400).
        num_samples (B,) marks padding; frames past an utterance's end are zero.
        """
        features = self.features(wave, num_samples)
        frames = None if num_samples is None else num_mfcc_frames(num_samples)
        if self.normalize:
            features = normalize_frames(features, frames)
        return stack_pairs(features, frames)
