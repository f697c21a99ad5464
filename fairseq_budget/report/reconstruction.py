"""TERA's reconstruction: what it fills in where it may not listen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fairseq_budget.audio.mfcc import MFCC, spectral_envelope
from fairseq_budget.audio.targets import AcousticTarget
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.losses.reconstruction import l1_reconstruction
from fairseq_budget.nn.heads import ReconstructionHead
from fairseq_budget.nn.masking import span_mask
from fairseq_budget.pretrained import Pretrained


@dataclass(frozen=True)
class Reconstruction:
    """True and predicted features (T, F), and which frames were hidden (T,) bool.

    ``raw`` (T, F) are the true features before any normalisation.
    """

    target: Tensor
    prediction: Tensor
    mask: Tensor
    raw: Tensor

    def error(self) -> float:
        """Mean absolute error on the hidden frames."""
        term = l1_reconstruction(self.prediction[self.mask], self.target[self.mask])
        return term.mean()

    def trivial_error(self) -> float:
        """The same for the best constant: each feature's median over the hidden frames."""
        hidden = self.target[self.mask]
        term = l1_reconstruction(hidden.median(0).values.expand_as(hidden), hidden)
        return term.mean()

    def spectrogram(self, features: Tensor) -> Tensor:
        """Features (T, F) as a log-mel picture of 10 ms columns (2 T, bands)."""
        scale = self.raw.std(0) / self.target.std(0).clamp(min=1e-6)  # undo the normalisation
        features = (features - self.target.mean(0)) * scale + self.raw.mean(0)
        frames = features.unflatten(1, (2, -1)).flatten(0, 1)
        return spectral_envelope(frames) if frames.shape[1] == MFCC.num_features else frames


@torch.no_grad()
def reconstruct(checkpoint: Pretrained, wave: np.ndarray, *, seed: int = 1) -> Reconstruction:
    """Hide spans of one utterance, as in training, and predict what was there.

    wave (S,) float32 at 16 kHz. Raises BudgetError for a checkpoint without a TERA head.
    """
    if checkpoint.model != "budget_tera" or "head.final_proj.weight" not in checkpoint.state:
        raise BudgetError(f"a {checkpoint.model} checkpoint has no reconstruction head")
    config, task = checkpoint.model_config, checkpoint.provenance.get("task", {})
    source = torch.from_numpy(wave)[None]
    raw, target = (
        AcousticTarget(config["target"], normalize=normalize)(source)[0]
        for normalize in (False, config["normalize_target"])
    )
    mask = span_mask(
        num_frames(len(wave)),
        prob=task.get("mask_prob", 0.8),
        length=task.get("mask_length", 10),
        min_masks=2,
        rng=np.random.default_rng(seed),
    )
    indices = torch.from_numpy(mask)
    encoder = checkpoint.build_encoder()
    head = ReconstructionHead(encoder.config.output_dim, target.shape[1])
    head.load_state_dict(
        {k.removeprefix("head."): v.float() for k, v in checkpoint.state.items() if "head." in k}
    )
    hidden = encoder(source, mask_indices=indices[None]).last_hidden_state[0]
    return Reconstruction(target, head(hidden), indices, raw)
