"""Time and memory of an update: ScaledAdam beside AdamW, and beside itself tensor by tensor.

    python -m scripts.bench.scaled_adam --size slim

On the parameters of an encoder, with random gradients; every optimizer in a process of its own.
The fastest update counts, for others may use the machine. Peak memory is what an update needs
besides weights and gradients: the state and its working space.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import Any

import torch

from fairseq_budget.console.table import markdown_table
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.optim.scaled_adam import ScaledAdam
from tests.optim.reference import Reference

OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "AdamW (foreach)": lambda params: torch.optim.AdamW(params, lr=1e-4, foreach=True),
    "ScaledAdam": lambda params: ScaledAdam(params),
    "ScaledAdam, tensor by tensor": lambda params: Reference(params),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="slim", help="encoder size (default: slim)")
    parser.add_argument("--updates", type=int, default=24, help="timed updates (default: 24)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    args = parser.parse_args()
    rows = []
    for name in OPTIMIZERS:
        with multiprocessing.get_context("spawn").Pool(1) as process:
            rows.append(process.apply(measure, (name, args.size, args.updates, args.device)))
    num_parameters = sum(p.numel() for p in parameters(args.size, "cpu"))
    print(f"{args.size}, {num_parameters:,} parameters, {torch.get_num_threads()} threads, "
          f"{args.device}\n")  # fmt: skip
    print(markdown_table(rows))


def measure(name: str, size: str, num_updates: int, device: str) -> dict[str, str]:
    params = parameters(size, device)
    OPTIMIZERS[name](parameters("tiny", device)).step()  # torch imports more at the first update
    before = peak_bytes(device)
    optimizer = OPTIMIZERS[name](params)
    for _ in range(4):  # allocates the state; four, for sizes change every fourth update
        optimizer.step()
    seconds = []
    for _ in range(num_updates):
        started = clock(device)
        optimizer.step()
        seconds.append(clock(device) - started)
    return {
        "optimizer": name,
        "ms per update (fastest)": f"{1000 * min(seconds):.1f}",
        "state (MB)": f"{state_bytes(optimizer) / 1e6:.1f}",
        "peak (MB)": f"{(peak_bytes(device) - before) / 1e6:.1f}",
    }


def parameters(size: str, device: str) -> list[torch.nn.Parameter]:
    torch.manual_seed(0)
    params = list(SpeechEncoder(EncoderConfig(size=size)).to(device).parameters())
    for p in params:
        p.grad = torch.randn_like(p)
    return params


def state_bytes(optimizer: Any) -> int:
    if isinstance(optimizer, ScaledAdam):
        return optimizer.num_state_bytes()
    states = optimizer.state
    states = list(states.values()) if isinstance(states, dict) else states
    tensors = [value for state in states for value in state.values() if torch.is_tensor(value)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def peak_bytes(device: str) -> int:
    """Highest memory so far, of the device or of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def clock(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
