"""The log-mel front-end: waveform to 50 Hz features without convolutions.

As in "MelHuBERT: A simplified HuBERT on Mel spectrograms" (section 3): two frames of log-mel
energies, 10 ms apart, are one frame of the encoder, through a linear layer.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.audio.kaldi import num_mfcc_frames
from fairseq_budget.audio.mfcc import LogMel, normalize_frames
from fairseq_budget.frames import MEL_BINS


class LogMelFrontend(nn.Module):
    """Log-mel frames, their norm over time, pairs, a linear layer, GELU: (B, S) -> (B, T, C).

    A frame begins where that of the convolutions does, and sees 35 ms instead of 25. T is theirs,
    too: an utterance whose log-mel frames are odd in number has zeros, the mean, beside its last
    one. The energies have no gradient, and are computed in float32 whatever surrounds them.

    Each bin has zero mean and unit variance over the frames of its utterance, as the convolutions'
    first layer has of each channel: nothing need be known of a corpus, and loudness and a
    microphone's response are gone. Padding never changes a valid frame. Differs: MelHuBERT takes
    mean and variance of the corpus, and has no GELU; here a second linear layer follows.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.log_mel = LogMel(MEL_BINS)
        self.proj = nn.Linear(2 * MEL_BINS, dim)

    def forward(self, wave: Tensor, num_samples: Tensor | None = None) -> Tensor:
        num_frames = None if num_samples is None else num_mfcc_frames(num_samples)
        mel = normalize_frames(self.log_mel(wave, num_samples), num_frames)
        pairs = F.pad(mel, (0, 0, 0, mel.shape[1] % 2)).unflatten(1, (-1, 2)).flatten(2)
        return F.gelu(self.proj(pairs.to(self.proj.weight.dtype)))
