"""The base of pre-training models: the encoder, its explicit randomness, its segments."""

from typing import Any, Dict, Optional

import numpy as np
import torch
from fairseq.models import BaseFairseqModel
from torch import Tensor

from fairseq_budget.budget.flops import batch_training_flops
from fairseq_budget.models._config import BudgetEncoderConfig, encoder_config
from fairseq_budget.nn.compiled import compile_parts
from fairseq_budget.nn.encoder import EncoderOutput, SpeechEncoder
from fairseq_budget.nn.masking import seed_from


class BudgetModel(BaseFairseqModel):
    """Holds ``encoder``; subclasses add heads and a forward() over a batch's net_input."""

    def __init__(self, cfg: BudgetEncoderConfig) -> None:
        super().__init__()
        self.seed = cfg.seed
        self.batch_seconds = cfg.batch_seconds_per_update
        self.num_updates = 0
        self.is_compiled = cfg.compile
        self.encoder = SpeechEncoder(encoder_config(cfg))

    @classmethod
    def build_model(cls, cfg: Any, task: Any = None) -> "BudgetModel":
        return cls(cfg)

    def set_num_updates(self, num_updates: int) -> None:
        super().set_num_updates(num_updates)
        self.num_updates = num_updates
        if self.batch_seconds is not None:
            self.encoder.set_seconds_trained(num_updates * self.batch_seconds)

    def compile_parts(self) -> None:
        """Compile what training runs; a model that is only used does without."""
        if self.is_compiled:
            compile_parts(self.encoder)

    def training_flops(self, num_samples: np.ndarray, out: Dict[str, Any]) -> float:
        """FLOPs of an update on utterances of so many samples, given what forward() returned."""
        return batch_training_flops(self.encoder.config, num_samples, out["num_segments"])

    def encode(
        self,
        wave: Tensor,
        num_samples: Optional[Tensor],
        noise: torch.Generator,
        mask_indices: Optional[Tensor] = None,
        segment_ends: Optional[Tensor] = None,
    ) -> EncoderOutput:
        """Layers are skipped by (seed, update), so all workers of an update skip the same ones.

        A Zipformer skips them by utterance, so there it depends on the batch, too.
        """
        seeds = [self.seed, self.num_updates]
        if self.encoder.config.zipformer is not None:
            seeds.append(noise.initial_seed())
        return self.encoder(
            wave,
            num_samples,
            mask_indices=mask_indices,
            segment_ends=segment_ends,
            layer_generator=torch.Generator().manual_seed(seed_from(*seeds)),
            noise_generator=noise,
        )


def common_output(out: EncoderOutput) -> Dict[str, Any]:
    """Outputs that the criterion wants of every model: the penalty, and segments if any."""
    return {
        "feature_penalty": out.feature_penalty,
        "output_spread": output_spread(out.output),
        "segments": out.segments,
        "num_segments": None if out.segments is None else out.segments.measured_lengths(),
    }


def output_spread(output: Tensor) -> Tensor:
    """How much an output (B, T, D) differs between frames: their variance over their square.

    From 0, where all are the same, to 1, where their mean is zero.
    """
    frames = output.detach().flatten(0, 1).float()
    square = frames.square().mean(0).sum()
    spread = square - frames.mean(0).square().sum()
    return spread / square.clamp_min(torch.finfo(square.dtype).tiny)


def masked_frames(out: EncoderOutput, masked: Tensor) -> Tensor:
    """Flat indices of what was hidden in the output; ``masked`` if that has a frame for a frame.

    Of segments the host has to ask for their number, which is a shape.
    """
    if out.segments is None or out.masked is None:
        return masked
    return out.masked.flatten().nonzero()[:, 0]


def noise_generator(device: torch.device, seed: int) -> torch.Generator:
    """The batch's own stream: alterations, Gumbel noise, negatives."""
    return torch.Generator(device).manual_seed(seed)


def take_frames(x: Tensor, indices: Tensor) -> Tensor:
    """x (B, T, D) at N flat indices into its frames -> (N, D), without asking the host."""
    return x.flatten(0, 1).index_select(0, indices)
