"""Checkpoints that outlive a run: the portable folder, other toolkits' formats, averages."""

from fairseq_budget.pretrained.portable import (
    ENCODER_PREFIX,
    MODEL_FILE,
    UNTRAINED,
    Pretrained,
    is_ours,
    load_pretrained,
    open_checkpoint,
    read_pretrained,
    save_pretrained,
    untrained,
)

__all__ = [
    "ENCODER_PREFIX",
    "MODEL_FILE",
    "UNTRAINED",
    "Pretrained",
    "is_ours",
    "load_pretrained",
    "open_checkpoint",
    "read_pretrained",
    "save_pretrained",
    "untrained",
]
