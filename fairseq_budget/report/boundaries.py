"""Boundaries of a student that integrates and fires."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.nn.encoder import SpeechEncoder


@dataclass(frozen=True)
class Fired:
    """One utterance: CIF weights `alphas` (T,), and where segments end, (K,) in seconds."""

    alphas: NDArray[np.float32]
    ends_s: NDArray[np.float64]

    @property
    def boundaries_s(self) -> NDArray[np.float64]:
        """Between segments: the end of the utterance is none."""
        return self.ends_s[:-1]


@torch.inference_mode()
def fire(encoder: SpeechEncoder, wave: NDArray[np.float32]) -> Fired:
    """Segment a wave (S,); BudgetError for an encoder that does not weigh its frames."""
    segments = encoder(torch.from_numpy(wave)[None]).segments
    if segments is None or segments.alphas is None:
        raise BudgetError(
            f"the checkpoint has model.subsample={encoder.config.subsample}, which places no "
            "boundaries of its own; expected one with model.subsample=cif"
        )
    return Fired(segments.alphas[0].float().numpy(), segments.ends()[0].numpy() / FRAME_RATE_HZ)
