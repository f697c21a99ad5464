"""The base of fine-tuned recognisers: a pre-trained encoder, its frozen parts, masks."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional, Tuple

import numpy as np
import torch
from omegaconf import open_dict
from torch import Tensor

from fairseq_budget.data.audio_dataset import wave_from_bits
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.models._base import BudgetModel, noise_generator
from fairseq_budget.models._config import BudgetEncoderConfig
from fairseq_budget.nn.config import TRAINING_FIELDS
from fairseq_budget.nn.encoder import EncoderOutput
from fairseq_budget.nn.masking import Masking, seed_from
from fairseq_budget.pretrained import read_pretrained


@dataclass
class BudgetRecognizerConfig(BudgetEncoderConfig):
    pretrained: Optional[str] = field(
        default=None,
        metadata={"help": "checkpoint or exported folder to start from; null: from nothing"},
    )
    freeze_encoder: bool = field(
        default=False,
        metadata={"help": "train the head only; feature_grad_mult=0 freezes the front-end only"},
    )
    freeze_updates: int = field(
        default=0, metadata={"help": "the encoder also stands still for so many first updates"}
    )
    mask_prob: float = field(
        default=0.65, metadata={"help": "share of frames covered by spans in training; 0: none"}
    )
    mask_length: int = field(default=10, metadata={"help": "length of a span, in frames"})
    equal_masks: bool = field(
        default=False,
        metadata={"help": "fairseq's rule: of every utterance, as many frames as of its mates"},
    )


class BudgetRecognizer(BudgetModel):
    """Holds ``encoder``, with the weights of ``cfg.pretrained``; subclasses add a head."""

    def __init__(self, cfg: BudgetRecognizerConfig, vocab_size: int) -> None:
        super().__init__(cfg)
        self.freeze_updates = cfg.freeze_updates
        if cfg.freeze_encoder:
            self.encoder.requires_grad_(False)  # no optimizer holds state for it
        self.masking = Masking(cfg.mask_prob, cfg.mask_length, equal=cfg.equal_masks)

    @classmethod
    def build_model(cls, cfg: Any, task: Any = None) -> "BudgetRecognizer":
        """Dimensions and weights come from ``cfg.pretrained`` for as long as that exists.

        Later, at decoding, the fine-tuned checkpoint has both. The dictionary is the task's.
        """
        found = None
        if cfg.pretrained is not None and (Path(cfg.pretrained).exists() or not cfg.conv_dim):
            found = adopt_pretrained(cfg)
        model = cls(cfg, len(task.target_dictionary))
        if found is not None:
            model.encoder.load_state_dict(found.build_encoder().state_dict())
        return model

    def encode_speech(
        self, source: Tensor, num_samples: Optional[Tensor], padding_mask: Optional[Tensor]
    ) -> Tuple[EncoderOutput, Tensor]:
        """The encoder's output, masked in training, and its valid frames (B,).

        Padding comes as lengths, or as fairseq's own datasets give it: (B, S), True = padding.
        """
        wave = wave_from_bits(source)
        if num_samples is None and padding_mask is not None and padding_mask.any():
            num_samples = (~padding_mask).sum(1)
        lengths = [wave.shape[1]] * len(wave) if num_samples is None else num_samples.tolist()
        seed = seed_from(self.seed, self.num_updates, *lengths)
        frozen = self.num_updates < self.freeze_updates
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            out = self.encode(
                wave,
                num_samples,
                noise_generator(wave.device, seed),
                self._masks(lengths, seed, wave.device),
            )
        if out.output_padding is not None:
            return out, (~out.output_padding).sum(1)
        return out, torch.full((len(wave),), out.output.shape[1], device=wave.device)

    def _masks(self, num_samples: "list[int]", seed: int, device: torch.device) -> Optional[Tensor]:
        """(B, T) bool, True = hidden: a function of seed, update and the batch's lengths."""
        if not self.training or not self.masking.prob:
            return None
        lengths, rng = num_frames(np.array(num_samples)), np.random.default_rng(seed)
        mask = self.masking.batch(lengths, [rng] * len(lengths))
        return torch.from_numpy(mask).to(device, non_blocking=True)


def adopt_pretrained(cfg: Any) -> Any:
    """Fill the encoder's dimensions in ``cfg`` with those of ``cfg.pretrained``; returns that.

    BudgetError when it cannot be read, or ``cfg`` asks for masks that its encoder cannot hide.
    """
    found = read_pretrained(cfg.pretrained)
    values = asdict(found.encoder.resolved())
    if cfg.mask_prob and not values["mask_embedding"]:
        raise BudgetError(
            f"model.mask_prob={cfg.mask_prob}, but {cfg.pretrained} was trained without a mask "
            "embedding: set model.mask_prob=0"
        )
    with open_dict(cfg):
        for name in values.keys() - set(TRAINING_FIELDS):
            setattr(cfg, name, values[name])
    return found
