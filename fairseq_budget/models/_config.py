"""The encoder's fields as a fairseq config (the underscore: no model to import on its own)."""

from dataclasses import dataclass, field, fields
from typing import Optional

from fairseq.dataclass import FairseqDataclass
from omegaconf import II

from fairseq_budget.nn.config import EncoderConfig


@dataclass
class BudgetEncoderConfig(FairseqDataclass, EncoderConfig):
    """Inherits every field of the ground floor's EncoderConfig; adds what training has to say."""

    batch_seconds_per_update: Optional[float] = field(
        default=None,
        metadata={
            "help": "seconds of audio by which an update advances a Zipformer's schedules; None: "
            "in pre-training dataset.max_tokens (or batch_size x task.max_sample_size) x "
            "update_freq x GPUs, in fine-tuning they stand at their end. More takes those of a "
            "short run to their end in time"
        },
    )
    compile: bool = field(
        default=False,
        metadata={
            "help": "train by torch.compile, of a Zipformer the front-end alone; takes a minute at "
            "the start, and on a CPU a C++ compiler"
        },
    )
    seed: int = II("common.seed")


def encoder_config(cfg: BudgetEncoderConfig) -> EncoderConfig:
    """The encoder's part of a model config, which may be a dataclass or a DictConfig."""
    return EncoderConfig(**{f.name: getattr(cfg, f.name) for f in fields(EncoderConfig)})
