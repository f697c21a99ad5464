"""TERA's targets: acoustic features of the waveform, at the encoder's frame rate."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.audio.kaldi import num_mfcc_frames
from fairseq_budget.audio.mfcc import MFCC, LogMel, normalize_frames, stack_pairs
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames


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
        """wave (B, S) float32 -> (B, T, F) float32 at 50 Hz.

        T is the encoder's number of frames. A pair spans 560 samples and a frame 400, so that the
        last frame of some utterances has no pair of its own (32,160 samples: 100 and 99). Differs:
        the study's code trims that frame, here it stays, and has the pair before it. num_samples
        (B,) marks padding, where the last pair is repeated.
        """
        lengths = torch.full((len(wave),), wave.shape[1], device=wave.device)
        frames = num_mfcc_frames(lengths if num_samples is None else num_samples)
        features = self.features(wave, num_samples)
        if self.normalize:
            features = normalize_frames(features, frames)
        pairs = stack_pairs(features, frames)
        time = torch.arange(num_frames(wave.shape[1]), device=wave.device)
        time = time.minimum((frames // 2 - 1).clamp(min=0).unsqueeze(1))  # (B, T)
        pairs = F.pad(pairs, (0, 0, 0, time.shape[1] - pairs.shape[1]))
        return pairs.gather(1, time.unsqueeze(2).expand(-1, -1, self.dim))
