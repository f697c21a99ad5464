"""A tiny exported checkpoint and spoken-digit-like files, both from a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_budget.audio.io import write_audio
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained, save_pretrained


def save_fresh(folder: Path, model: str, config: EncoderConfig) -> Path:
    """Export an encoder with random weights, ever the same; returns the folder."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        encoder = SpeechEncoder(config)
        if config.subsample == "cif":  # alphas that vary
            torch.nn.init.normal_(encoder.subsampler.cif.proj.weight, std=0.5)
    state = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    save_pretrained(folder, Pretrained(model, config, {}, state))
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder with layer drop, dropout and waveform normalisation on."""
    config = EncoderConfig(
        size="tiny", encoder_embed_dim=32, encoder_ffn_embed_dim=64, conv_dim=32, normalize=True,
        encoder_layerdrop=0.5,
    )  # fmt: skip
    return save_fresh(tmp_path_factory.mktemp("exported"), "budget_tera", config)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``{label}_{speaker}_{take}.wav``: 3 labels (tones), 2 speakers (loudness), 8 takes."""
    folder = tmp_path_factory.mktemp("digits")
    generator = np.random.default_rng(7)
    for label in range(3):
        for speaker, loudness in (("ann", 0.1), ("bob", 0.4)):
            for take in range(8):
                time_s = np.arange(4800 + 160 * take) / 16000
                samples = loudness * np.sin(2 * np.pi * 300 * (label + 1) * time_s)
                samples += 0.01 * generator.standard_normal(len(samples))
                path = folder / f"{label}_{speaker}_{take}.wav"
                write_audio(path, samples.astype(np.float32), 16000)
    return folder
