"""Whole updates on a CPU beside those of fairseq's own HuBERT, and the machine's matrix products.

    OMP_NUM_THREADS=1 python scripts/bench/training.py --size slim base

Both are run by fairseq's trainer on the very same batch, in turns, so that what else the machine
does meets both; seconds are the processor's. fairseq's own trains in float32, as it would on a CPU.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # gpu_checks, which has the trainers

from gpu_checks.corpus import corpus
from gpu_checks.registry import Options, still
from gpu_checks.times import PRESETS, STOCK, stock_trainer
from gpu_checks.training import compose, make_trainer

from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.budget.timing import DTYPES
from fairseq_budget.console.table import table
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.run.allocator import keep_freed_memory

SIDES = ((STOCK, "fp32"), ("HuBERT", "fp32"), ("HuBERT", "bf16"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", nargs="+", default=["slim"])
    parser.add_argument("--seconds", type=float, default=14.0, help="of a sequence")
    parser.add_argument("--batch", type=int, default=1, help="sequences")
    parser.add_argument("--times", type=int, default=4, help="of which the least counts")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    keep_freed_memory()
    peaks = {kind: peak_flops(DTYPES[kind]) for kind in ("fp32", "bf16")}
    with tempfile.TemporaryDirectory() as folder:
        options = Options("cpu", small=False, precisions=["fp32"], folder=Path(folder))
        rows = [row for size in args.size for row in compared(size, options, args, peaks)]
    gflops = {f"{kind} matrix products (GFLOP/s)": peak / 1e9 for kind, peak in peaks.items()}
    print(table(rows))
    print(*(f"{what}: {value:.0f}" for what, value in gflops.items()), sep="\n")
    if args.json:
        with atomic_write(args.json) as file:
            json.dump({"rows": rows, **gflops}, file, indent=2)


def peak_flops(dtype: torch.dtype, side: int = 2048) -> float:
    """FLOP/s of a large matrix product, the most of a few, by the processor's time."""
    a, b = (torch.randn(side, side, dtype=dtype) for _ in range(2))
    return 2 * side**3 / min(processor_s(lambda: torch.mm(a, b)) for _ in range(8))


def processor_s(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def compared(
    size: str, options: Options, args: argparse.Namespace, peaks: dict[str, float]
) -> list[dict[str, Any]]:
    """The least seconds of an update of each side, and how many times as fast as fairseq's."""
    trainers = {side: trainer(*side, size, options, args) for side in SIDES}
    seconds: dict[tuple[str, str], float] = dict.fromkeys(SIDES, float("inf"))
    for turn in range(1 + args.times):  # the first allocates, and chooses its kernels
        for side, (own, batch) in trainers.items():
            taken = processor_s(functools.partial(own.train_step, [batch]))
            if turn:
                seconds[side] = min(seconds[side], taken)
    flops = training_flops_per_second(still(size), args.seconds) * args.seconds * args.batch
    return [
        {
            "size": size,
            "model": name,
            "precision": precision,
            "s per update": taken,
            "share of peak": flops / taken / peaks[precision],
            "times as fast": seconds[SIDES[0]] / taken,
        }
        for (name, precision), taken in seconds.items()
    ]


def trainer(
    name: str, precision: str, size: str, options: Options, args: argparse.Namespace
) -> tuple[Any, Any]:
    """fairseq's trainer of the preset in a size, and its batch."""
    limit = round(SAMPLE_RATE * args.seconds)
    values = {
        "task.data": str(corpus(options, args.seconds, args.batch)),
        "task.max_sample_size": limit,
        "task.min_sample_size": 0,
        "dataset.max_tokens": limit * args.batch,
        "model.size": size,
        "model.encoder_layerdrop": 0.0,  # each update computes every layer
    }
    cfg = compose(PRESETS[name], options, "cpu", precision, **values)
    return (stock_trainer if name == STOCK else make_trainer)(cfg)


if __name__ == "__main__":
    main()
