"""Zipformer beside our transformer of about equal parameters, and the front-end's two norms.

    OMP_NUM_THREADS=1 python scripts/bench/zipformer.py

Time of an update (forward, backward, Adam) and peak memory, one encoder after the other, each in a
process of its own, on the same noise. The front-end alone, forward and backward, in both modes:
k2SSL (section III-A) saves 13.14 -> 10.96 GB by one GroupNorm in place of seven LayerNorms.
"""

from __future__ import annotations

import argparse
import multiprocessing

import torch

from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.budget.timing import Measurement, measure_encoder, peak_bytes, timed
from fairseq_budget.console.table import markdown_table
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.nn.conv_frontend import ConvFrontend

PAIRS = ("slim", "zipformer_small", "base", "zipformer_base")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", nargs="+", default=list(PAIRS))
    parser.add_argument("--seconds", type=float, default=28.0, help="of audio in an update")
    parser.add_argument("--sequence-seconds", type=float, default=14.0)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    encoders, modes = [], []
    for size in args.size:
        with context.Pool(1) as pool:
            encoders.append(pool.apply(measure, (size, args)))
    for mode in ("default", "layer_norm"):
        with context.Pool(1) as pool:
            modes.append(pool.apply(frontend, (mode, args.seconds, args.device)))
    print(f"{args.seconds:g} s in sequences of {args.sequence_seconds:g} s, {args.precision}\n")
    print(markdown_table([row(found) for found in encoders]) + "\n")
    print(markdown_table([
        {"front-end": mode, "pass (s)": f"{seconds:.2f}", "peak (GiB)": f"{gib:.2f}"}
        for mode, seconds, gib in modes
    ]))  # fmt: skip


def measure(size: str, args: argparse.Namespace) -> Measurement:
    return measure_encoder(
        size,
        args.precision,
        device=args.device,
        seconds=args.seconds,
        sequence_s=args.sequence_seconds,
    )


def frontend(mode: str, seconds: float, device: str) -> tuple[str, float, float]:
    """Seconds and GiB of one pass through the convolutions, in training."""
    wave = torch.randn(1, round(seconds * SAMPLE_RATE), device=device)
    before = peak_bytes(device)
    convolutions = ConvFrontend(512, mode, bias=False).to(device)
    fastest = min(timed(lambda: convolutions(wave).sum().backward(), device) for _ in range(2))
    return mode, fastest, (peak_bytes(device) - before) / 2**30


def row(found: Measurement) -> dict[str, str]:
    return {
        "size": found.size,
        "parameters (TERA)": f"{count_parameters(found.size).parameters:,}",
        "update (s)": f"{found.update_s:.2f}",
        "peak (GiB)": f"{found.peak_bytes / 2**30:.2f}",
    }


if __name__ == "__main__":
    main()
