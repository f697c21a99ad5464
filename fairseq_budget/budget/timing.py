"""Timing a few real updates of an encoder on this machine, and the peak of its matrix products.

What is timed is the encoder, which all objectives share: forward, backward and Adam, on noise in
sequences of equal length. In half precision the model is halved and Adam keeps float32 copies, as
fairseq's fp16 does. Every measurement should run in a process of its own: its peak memory is then
its own, and running out of memory ends nothing else.
"""

from __future__ import annotations

import multiprocessing
import platform
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from torch import Tensor, nn

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.structured import Range

_Seconds = Annotated[float, Range(1e-9, 1e9)]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Measurement:
    """One encoder on one machine in one precision; seconds and bytes are of one update."""

    size: str
    precision: str
    audio_seconds: _Seconds
    sequence_s: _Seconds
    update_s: _Seconds
    peak_bytes: Annotated[int, Range(0, 1 << 50)]

    @property
    def flops_per_audio_second(self) -> float:
        """Training FLOPs of the one formula for a second of audio."""
        return training_flops_per_second(find_encoder(self.size), self.sequence_s)

    @property
    def flops_per_second(self) -> float:
        """The same over the time they took."""
        return self.flops_per_audio_second * self.audio_seconds / self.update_s


def machine_name(device: str) -> str:
    """Name of the machine that is measured: the GPU's model, or this CPU with its threads."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{platform.node()} {platform.machine()}, {torch.get_num_threads()} threads"


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def precisions(device: str) -> list[str]:
    """Precisions that may pay on the device: half ones where it has instructions for them."""
    if not device.startswith("cuda"):
        return ["fp32", *(["bf16"] if torch.ops.mkldnn._is_mkldnn_bf16_supported() else [])]
    return ["fp32", "fp16", *(["bf16"] if torch.cuda.is_bf16_supported() else [])]


def measure_encoder(
    size: str,
    precision: str,
    *,
    device: str,
    seconds: float,
    sequence_s: float,
    num_updates: int = 3,
) -> Measurement:
    """The fastest of ``num_updates`` updates on about ``seconds`` of audio, after a warm-up.

    ``seconds`` is rounded to whole sequences. Layer drop is off: every layer is paid for.
    """
    batch = max(1, round(seconds / sequence_s))
    config = replace(find_encoder(size), encoder_layerdrop=0.0)
    wave = torch.randn(batch, round(sequence_s * SAMPLE_RATE), device=device)
    before = peak_bytes(device)
    encoder = SpeechEncoder(config).to(device, DTYPES[precision])
    update = _updater(encoder, wave)
    update()  # the first one allocates, and chooses its kernels
    fastest = min(timed(update, device) for _ in range(num_updates))
    peak = peak_bytes(device) - before
    return Measurement(size, precision, batch * sequence_s, sequence_s, fastest, peak)


def measure_peak_flops(precision: str, *, device: str, seconds: float = 1.0) -> float:
    """FLOP/s of a large matrix product, the fastest in ``seconds``: the most that can be had."""
    side = 8192 if device.startswith("cuda") else 2048
    a, b = (torch.randn(side, side, device=device, dtype=DTYPES[precision]) for _ in range(2))
    out = torch.empty_like(a)
    fastest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        fastest = min(fastest, timed(lambda: torch.mm(a, b, out=out), device))
    return 2 * side**3 / fastest


def _updater(encoder: SpeechEncoder, wave: Tensor) -> Callable[[], None]:
    """One update as a function: forward, backward, Adam on float32 masters of the parameters."""
    encoder.train()
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    half = parameters[0].dtype is not torch.float32
    masters = [nn.Parameter(p.detach().float()) for p in parameters] if half else parameters
    adam = torch.optim.Adam(masters, lr=1e-4)

    def update() -> None:
        encoder.zero_grad()
        encoder(wave).last_hidden_state.float().square().mean().backward()
        if half:
            for master, parameter in zip(masters, parameters, strict=True):
                master.grad = None if parameter.grad is None else parameter.grad.float()
        adam.step()
        if half:
            with torch.no_grad():
                for master, parameter in zip(masters, parameters, strict=True):
                    parameter.copy_(master)

    return update


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds that `work` takes on the device."""
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def peak_bytes(device: str) -> int:
    """The most memory that this process has held on the device so far."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    try:  # getrusage would count what the parent held when it started this process
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):  # not Linux
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


Found = TypeVar("Found")


def require_device(device: str) -> None:
    """Raise BudgetError where there is no such device."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        raise BudgetError(f"no device {device!r} here: {str(error).splitlines()[0]}") from error


def run_apart(measure: Callable[..., Found], *arguments: Any, **options: Any) -> Found | None:
    """Measure in a process of its own; None if memory ran out, or the system ended it for that."""
    threads = torch.get_num_threads()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, torch.set_num_threads, (threads,)) as pool:
        try:
            return pool.submit(measure, *arguments, **options).result()
        except BrokenProcessPool:
            return None
        except RuntimeError as error:  # torch has no one class for it: CPU and CUDA differ
            if "memory" not in str(error).lower():
                raise
            return None
