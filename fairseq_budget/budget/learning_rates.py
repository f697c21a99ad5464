"""The learning rate of one width, from that of another."""

from __future__ import annotations

from fairseq_budget.budget.presets import Preset
from fairseq_budget.nn.config import EncoderConfig


def transferred_lr(lr: float, *, from_width: int, to_width: int) -> float:
    """Adam's rate for another width: for a wider encoder in inverse proportion, else the same.

    Down with the width by muP's rule for matrices that map width to width (G. Yang et al., "Tensor
    Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer", Table 8), here
    for the one rate that all parameters share; but never up, where it fails
    (scripts/bench/learning_rates.py). The compute-budget study's rates are much the same: its
    HuBERTs have 5e-4 up to Slim's width, and within 20 % of this rule above it (Table 4).
    """
    return lr * min(1.0, from_width / to_width)


def lr_for(preset: Preset, encoder: EncoderConfig) -> float:
    """The rate of a preset for another encoder, by the width of both.

    ScaledAdam's is relative to the size of each tensor, and stays.
    """
    if preset.optimizer != "adam":
        return preset.lr
    from_width, to_width = (c.resolved().output_dim for c in (preset.encoder, encoder))
    return transferred_lr(preset.lr, from_width=from_width, to_width=to_width)
