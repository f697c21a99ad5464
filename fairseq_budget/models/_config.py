"""The encoder's fields as a fairseq config (the underscore: no model to import on its own)."""

from dataclasses import dataclass, fields

from fairseq.dataclass import FairseqDataclass
from omegaconf import II

from fairseq_budget.nn.config import EncoderConfig


@dataclass
class BudgetEncoderConfig(FairseqDataclass, EncoderConfig):
    """Inherits every field of the ground floor's EncoderConfig; adds only the seed."""

    seed: int = II("common.seed")


def encoder_config(cfg: BudgetEncoderConfig) -> EncoderConfig:
    """The encoder's part of a model config, which may be a dataclass or a DictConfig."""
    return EncoderConfig(**{f.name: getattr(cfg, f.name) for f in fields(EncoderConfig)})
