"""An encoder on log-mel frames beside the same on convolutions: forward and backward.

    OMP_NUM_THREADS=1 python scripts/bench/frontend.py

Both on the same noise, in one process and in turn; the median pass counts, in seconds of the
processor, which other programs on the machine disturb least. Predicted is the share of FLOPs.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.budget.flops import encoder_macs
from fairseq_budget.console.table import markdown_table
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.nn.config import FRONTENDS
from fairseq_budget.nn.encoder import SpeechEncoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", nargs="+", default=["tiny", "slim"])
    parser.add_argument("--seconds", type=float, default=14.0, help="of audio in a pass")
    parser.add_argument("--passes", type=int, default=5)
    args = parser.parse_args()
    wave = torch.randn(1, round(args.seconds * SAMPLE_RATE))
    print(markdown_table([row(size, wave, args.passes) for size in args.size]))


def row(size: str, wave: Tensor, num_passes: int) -> dict[str, str]:
    configs = {
        name: replace(find_encoder(size), frontend=name, encoder_layerdrop=0.0)
        for name in FRONTENDS
    }
    encoders = {name: SpeechEncoder(config).train() for name, config in configs.items()}
    found: dict[str, list[float]] = {name: [] for name in FRONTENDS}
    for _ in range(1 + num_passes):  # the first one allocates
        for name, encoder in encoders.items():
            found[name].append(cpu_seconds(encoder, wave))
    seconds = {name: median(each[1:]) for name, each in found.items()}
    macs = {name: encoder_macs(config, wave.shape[1]) for name, config in configs.items()}
    return {
        "size": size,
        **{f"{name} (CPU s)": f"{each:.3f}" for name, each in seconds.items()},
        "conv / logmel": f"{seconds['conv'] / seconds['logmel']:.2f}",
        "in FLOPs": f"{macs['conv'] / macs['logmel']:.2f}",
    }


def cpu_seconds(encoder: SpeechEncoder, wave: Tensor) -> float:
    """Of all threads, in one pass forward and backward."""
    encoder.zero_grad()
    started = time.process_time()
    encoder(wave).last_hidden_state.square().mean().backward()
    return time.process_time() - started


if __name__ == "__main__":
    main()
