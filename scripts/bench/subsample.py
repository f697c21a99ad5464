"""Forward time of an encoder's body at each rate, beside what its multiply-accumulates predict.

    OMP_NUM_THREADS=1 python scripts/bench/subsample.py

The student of DistilHuBERT on 15 s of noise, on one device, all rates in one run and in turn; the
fastest of several passes counts. The body is all that follows the front-end, whose cost no rate
changes; predicted is the body's share of MACs at 50 Hz.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from fairseq_budget.budget.flops import after_frontend_macs, frontend_macs
from fairseq_budget.console.table import markdown_table
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.papers.sequence_compression import STUDENT

ROWS = [
    *(("none", 1.0), ("average", 2.0), ("average", 4.0), ("average", 8.0)),
    *(("conv", 4.0), ("cif", 4.0)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    samples = round(args.seconds * SAMPLE_RATE)
    wave = torch.randn(1, samples, device=args.device)
    configs = [replace(STUDENT, subsample=kind, subsample_rate=rate) for kind, rate in ROWS]
    encoders = [SpeechEncoder(config).eval().to(args.device) for config in configs]
    seconds = [[float("inf")] * 2 for _ in ROWS]  # front-end alone, and all
    with torch.inference_mode():
        for _ in range(args.passes):
            for best, encoder in zip(seconds, encoders, strict=True):
                best[0] = min(best[0], clocked(partial(encoder._frontend, wave, None)))
                best[1] = min(best[1], clocked(partial(encoder, wave)))
    print(markdown_table(table(configs, seconds, samples)))


def table(
    configs: list[EncoderConfig], seconds: list[list[float]], samples: int
) -> list[dict[str, str]]:
    bodies = [total - frontend for frontend, total in seconds]
    macs = [after_frontend_macs(config, samples) for config in configs]
    return [
        {
            "subsampling": f"{kind} {rate:g}" if kind != "none" else kind,
            "body (GMACs)": f"{count / 1e9:.2f}",
            "body (ms)": f"{1000 * body:.0f}",
            "predicted": f"{count / macs[0]:.0%}",
            "measured": f"{body / bodies[0]:.0%}",
            "whole encoder (ms)": f"{1000 * total:.0f}",
            "whole, GMACs": f"{(count + frontend_macs(config.resolved(), samples)) / 1e9:.2f}",
        }
        for (kind, rate), config, count, body, (_, total) in zip(
            ROWS, configs, macs, bodies, seconds, strict=True
        )
    ]


def clocked(work: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
