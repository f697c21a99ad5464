"""Checkpoints of ours with random weights, norms and biases included."""

from __future__ import annotations

from typing import Any

import torch

from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained
from fairseq_budget.pretrained.vocabulary import CTC, CTC_HEAD, SPECIAL_SYMBOLS, Vocabulary

LETTERS = Vocabulary([*SPECIAL_SYMBOLS, "|", "E", "T", "A", "'"])


def random_checkpoint(model: str = "budget_hubert", **fields: Any) -> Pretrained:
    """A model of size ``tiny`` or another; its weights are the same every time."""
    config = EncoderConfig(**{"size": "tiny", "encoder_layers": 2, **fields})
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = SpeechEncoder(config)
    state = {
        f"encoder.{name}": value + 0.1 * torch.randn(value.shape, generator=generator)
        if value.dim() == 1
        else value
        for name, value in encoder.state_dict().items()
    }
    return Pretrained(model, config, {}, state, {"num_updates": 7})


def random_recognizer(vocabulary: Vocabulary = LETTERS, **fields: Any) -> Pretrained:
    """With CTC; as a trained one it never says fairseq's other special symbols."""
    checkpoint = random_checkpoint(CTC, **fields)
    generator = torch.Generator().manual_seed(1)
    shape = (len(vocabulary.symbols), checkpoint.encoder.resolved().output_dim)
    head = {"weight": torch.randn(shape, generator=generator)}
    head["bias"] = torch.randn(len(vocabulary.symbols), generator=generator)
    head["bias"][1:4] -= 100
    checkpoint.state |= {CTC_HEAD + name: value for name, value in head.items()}
    checkpoint.vocabulary = vocabulary
    return checkpoint


def noise(*num_samples: int) -> list[torch.Tensor]:
    """Loud waveforms, off zero, that are the same every time."""
    generator = torch.Generator().manual_seed(0)
    return [0.3 * torch.randn(n, generator=generator) + 0.1 for n in num_samples]
