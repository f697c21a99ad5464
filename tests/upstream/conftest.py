"""A tiny exported checkpoint and spoken-digit-like files, both from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from fairseq_budget.downstream.s3prl_process import S3prlProcess
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
def s3prl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., tuple[int, str]]]:
    """``s3prl run_downstream.py ARGUMENTS`` in a folder: its exit code, and what it said."""
    pytest.importorskip("s3prl")
    output = tmp_path_factory.mktemp("s3prl") / "output.txt"
    with S3prlProcess(num_threads=1) as process:

        def run(*arguments: str, cwd: Path) -> tuple[int, str]:
            return process.run(arguments, output, cwd), output.read_text()

        yield run
