"""What makes an update faster, and what it consists of: compiling, TF32, optimizers, a profile."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from fairseq_budget.budget.memory import training_bytes
from fairseq_budget.budget.timing import DTYPES, measure_encoder, timed
from fairseq_budget.nn.compiled import compile_parts
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from gpu_checks.registry import ALLOWED, Options, Row, check, compared, noise
from gpu_checks.times import empty_cache

NUM_UPDATES = 3  # of which the fastest counts
NUM_KERNELS = 10


def sizes(options: Options) -> tuple[str, ...]:
    return ("tiny",) if options.small else ("slim", "base")


def build(size: str, precision: str, options: Options) -> SpeechEncoder:
    torch.manual_seed(0)
    encoder = SpeechEncoder(EncoderConfig(size=size, encoder_layerdrop=0.0))
    return encoder.to(options.device, DTYPES[precision])


def waves(options: Options, seconds: float) -> Tensor:
    """Two sequences in the small form, otherwise six."""
    count = 2 if options.small else 6
    return (0.1 * noise(count, round(16000 * seconds))).to(options.device)


def passes(encoder: SpeechEncoder, wave: Tensor) -> Tensor:
    """The last state after a forward and a backward pass, with what is dropped by the seed."""
    torch.manual_seed(0)
    encoder.zero_grad()
    state = encoder(wave).last_hidden_state
    state.float().square().mean().backward()
    return state


def fastest_ms(work: Callable[[], object], options: Options) -> float:
    """Milliseconds, after a first time that does not count."""
    work()
    return 1000 * min(timed(work, options.device) for _ in range(NUM_UPDATES))


@check("compiled", limit_s=150)
def compiled(options: Options) -> Iterator[Row]:
    """Beside the same encoder as it is written: numbers, times, graphs for a second length."""
    how = {"backend": "aot_eager"} if options.small else {}
    precision = options.precisions[-1]
    short, long = (waves(options, seconds) for seconds in ((0.5, 1) if options.small else (7, 14)))
    for size in sizes(options):
        empty_cache(options)
        encoder = build(size, precision, options)
        expected = passes(encoder, long)
        gradient = _gradient(encoder)
        row = {"ms as written": fastest_ms(lambda: passes(encoder, long), options)}  # noqa: B023
        compile_parts(encoder, **how)
        start = time.perf_counter()
        passes(encoder, short)
        row["s to compile"] = time.perf_counter() - start
        found, before = passes(encoder, long), _num_graphs()
        allowed = ALLOWED[precision]
        yield compared(f"{size}, {precision}: states", found.float(), expected.float(), allowed)
        yield compared(f"{size}, {precision}: gradient", _gradient(encoder), gradient, allowed)
        row["ms compiled"] = fastest_ms(lambda: passes(encoder, long), options)  # noqa: B023
        passes(encoder, short)
        late = _num_graphs() - before
        yield {"size": size, "precision": precision, **row, "late graphs": late, "ok": late == 0}


def _gradient(encoder: SpeechEncoder) -> Tensor:
    return torch.cat([p.grad.flatten().float() for p in encoder.parameters() if p.grad is not None])


def _num_graphs() -> int:
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


@check("TF32")
def tf32(options: Options) -> Iterator[Row]:
    """float32 with matrix products in TF32 and without, torch's default; convolutions have it."""
    wave = waves(options, 1 if options.small else 14)
    before = torch.backends.cuda.matmul.allow_tf32
    try:
        for size in sizes(options):
            empty_cache(options)
            encoder = build(size, "fp32", options)
            for allowed in (False, True):
                torch.backends.cuda.matmul.allow_tf32 = allowed
                ms = fastest_ms(lambda: passes(encoder, wave), options)  # noqa: B023
                kind = "TF32" if allowed else "float32"
                yield {"size": size, "matrix products": kind, "ms forward and backward": ms}
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@check("memory", limit_s=60)
def memory(options: Options) -> Iterator[Row]:
    """The peak of an update beside what `budget-plan length` counts; on a CPU the process' own."""
    for size in sizes(options):
        for sequence_s, count in ((0.5, 2), (1.0, 2)) if options.small else ((1, 84), (14, 6)):
            for precision in options.precisions:
                empty_cache(options)
                found = measure_encoder(
                    size, precision, device=options.device, seconds=sequence_s * count,
                    sequence_s=sequence_s, num_updates=1,
                )  # fmt: skip
                yield {
                    "size": size,
                    "sequences": f"{count} of {sequence_s:g} s",
                    "precision": precision,
                    "peak (GiB)": found.peak_bytes / 2**30,
                    "counted (GiB)": _counted(size, sequence_s, count, precision, options) / 2**30,
                }


def _counted(size: str, sequence_s: float, count: int, precision: str, options: Options) -> int:
    config = EncoderConfig(size=size)
    with torch.device("meta"):
        num_parameters = sum(p.numel() for p in SpeechEncoder(config).parameters())
    mixed = "fp32" if precision == "fp32" else "mixed"
    num_samples = round(16000 * sequence_s)
    return training_bytes(
        config, num_parameters, num_samples, count, precision=mixed, device=options.device
    )


@check("optimizers")
def optimizers(options: Options) -> Iterator[Row]:
    """A step on all parameters of an encoder, in float32."""
    from fairseq.optim.adam import Adam

    from fairseq_budget.optim.scaled_adam import ScaledAdam
    from fairseq_budget.optimizers.adam import FusedAdam

    for size in sizes(options):
        empty_cache(options)
        encoder = build(size, "fp32", options)
        for p in encoder.parameters():
            p.grad = 1e-3 * torch.randn_like(p)
        kinds: dict[str, Any] = {"Adam, fused": FusedAdam, "fairseq's Adam": Adam}
        for name, kind in {**kinds, "ScaledAdam": ScaledAdam}.items():
            params = list(copy.deepcopy(encoder).parameters())
            for p, like in zip(params, encoder.parameters(), strict=True):
                p.grad = like.grad
            step = kind(params, lr=1e-4).step
            yield {"size": size, "optimizer": name, "ms per step": fastest_ms(step, options)}


@check("profile", limit_s=60)
def profiled(options: Options) -> Iterator[Row]:
    """Where the time of forward and backward goes: the ten kernels that take most of it."""
    wave = waves(options, 1 if options.small else 14)
    for size in sizes(options):
        empty_cache(options)
        encoder = build(size, options.precisions[-1], options)
        passes(encoder, wave)
        with profile(activities=_activities(options)) as recorded:
            passes(encoder, wave)
        kernels = [(each, _own_us(each, options)) for each in recorded.key_averages()]
        total = sum(us for _, us in kernels)
        for each, us in sorted(kernels, key=lambda pair: -pair[1])[:NUM_KERNELS]:
            yield {
                "size": size,
                "kernel": each.key[:60],
                "calls": each.count,
                "ms": us / 1000,
                "share": us / total,
            }
        yield {
            "size": size,
            "kernel": "all",
            "calls": sum(each.count for each, us in kernels if us),
            "ms": total / 1000,
            "share": 1.0,
        }


def _activities(options: Options) -> list[ProfilerActivity]:
    return [ProfilerActivity.CPU if options.device == "cpu" else ProfilerActivity.CUDA]


def _own_us(kernel: Any, options: Options) -> float:
    on_cpu = options.device == "cpu"
    return float(kernel.self_cpu_time_total if on_cpu else kernel.self_device_time_total)
