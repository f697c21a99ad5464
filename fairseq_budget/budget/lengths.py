"""FLOPs and memory of a training batch against the length of its sequences, in closed form.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio", section 5.1 and Figure 2. FLOPs are those of flops.py, bytes those of memory.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from fairseq_budget.budget.accumulation import USABLE_MEMORY, fit_update
from fairseq_budget.budget.families import find_encoder, model_overrides
from fairseq_budget.budget.flops import FLOPS_PER_MAC, TRAINING_FACTOR, encoder_macs
from fairseq_budget.budget.memory import BYTES_PER_VALUE, batch_bytes
from fairseq_budget.budget.objectives import Heads
from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE, num_frames
from fairseq_budget.papers.match_to_win import LENGTHS_S


@dataclass(frozen=True, kw_only=True)
class LengthRow:
    """A batch of training sequences of one length; `head_gflops` comes on top, as in the budget.

    `forward_gflops` are of a forward pass. What an update accumulates, and what was measured, stand
    here where they were asked for; "OOM" where memory ran out.
    """

    length_s: float = column("s")
    batch: int
    frames: int
    forward_gflops: float = column("GFLOP forward")
    head_gflops: float = column("heads'")
    update_tflops: float = column("TFLOP an update")
    fp32_gib: float = column("GiB fp32")
    mixed_gib: float = column("GiB mixed")
    update_freq: int | None = column("update_freq", default=None, optional=True)
    update_audio_s: float | None = column("s of audio an update", default=None, optional=True)
    fp32_s: float | str | None = column("s fp32, measured", default=None, optional=True)
    fp32_peak_gib: float | str | None = column("GiB fp32, measured", default=None, optional=True)
    mixed_s: float | str | None = column("s mixed, measured", default=None, optional=True)
    mixed_peak_gib: float | str | None = column("GiB mixed, measured", default=None, optional=True)


@dataclass(frozen=True, kw_only=True)
class SequencePlan:
    """Cost of training on sequences of one length, in updates of a wanted size.

    `batch` and what follows from it are None if nothing fits into memory.
    """

    length_s: float = column("s")
    gflops_per_audio_second: float = column("GFLOP/s of audio")
    sequence_gib: float = column("GiB, 1 sequence")
    batch: int | None = column("sequences on a GPU")
    batch_gib: float | None = column("GiB")
    update_freq: int | None = column("update_freq")
    update_audio_s: float | None = column("s of audio an update")


@dataclass(frozen=True)
class Saving:
    """Shares saved against 15 s.

    `flops` and `memory`: in batches that hold the same seconds of audio; `memory_of_as_many`: in
    batches of as many sequences, each shorter, as the paper compares.
    """

    flops: float
    memory: float
    memory_of_as_many: float


def plan_length(
    size: str, objective: str, *, length_s: float, batch: int, device: str = "cuda"
) -> LengthRow:
    """A cell of Figure 2: ``batch`` sequences of ``length_s`` seconds."""
    config, heads = find_encoder(size), Heads(objective)
    num_samples = round(length_s * SAMPLE_RATE)
    forward = FLOPS_PER_MAC * batch * encoder_macs(config, num_samples)
    head = batch * length_s * heads.training_flops_per_second(config, length_s) / TRAINING_FACTOR
    gib = {
        precision: batch_bytes(
            size, objective, num_samples, batch, precision=precision, device=device
        )
        / 2**30
        for precision in BYTES_PER_VALUE
    }
    return LengthRow(
        length_s=length_s,
        batch=batch,
        frames=num_frames(num_samples),
        forward_gflops=forward / 1e9,
        head_gflops=head / 1e9,
        update_tflops=TRAINING_FACTOR * forward / 1e12,
        fp32_gib=gib["fp32"],
        mixed_gib=gib["mixed"],
    )


PRECISION = "mixed"  # as the presets train on GPUs

MAX_TOKENS_SLACK = 1.05  # pieces of a cut set may be longer than its mean, by 3 % at 15 s


def plan_update(
    size: str,
    objective: str,
    *,
    length_s: float,
    wanted_s: float,
    gpus: int = 1,
    batch_s: float = 87.5,
    gpu_gib: float | None = None,
) -> SequencePlan:
    """Plan training on sequences of ``length_s``, in updates of ``wanted_s`` of audio.

    A batch holds up to ``batch_s`` seconds, or what `USABLE_MEMORY` of a GPU of ``gpu_gib`` has
    room for, by the closed form in mixed precision.
    """
    num_samples = round(length_s * SAMPLE_RATE)
    weights, one = (_gib(size, objective, num_samples, batch) for batch in (0, 1))
    if gpu_gib is None:
        max_batch = max(1, int(batch_s / length_s))
    else:
        max_batch = max(0, int((USABLE_MEMORY * gpu_gib - weights) / (one - weights)))
    row = plan_length(size, objective, length_s=length_s, batch=1)
    update = None
    if max_batch:
        update = fit_update(wanted_s, length_s=length_s, max_batch=max_batch, gpus=gpus)
    return SequencePlan(
        length_s=length_s,
        gflops_per_audio_second=row.forward_gflops / length_s,
        sequence_gib=one,
        batch=update and update.batch,
        batch_gib=update and weights + update.batch * (one - weights),
        update_freq=update and update.update_freq,
        update_audio_s=update and update.audio_s,
    )


def saving(size: str, objective: str, *, length_s: float, batch: int) -> Saving:
    """Savings of batches of ``batch`` sequences of ``length_s`` against 15 s."""
    short, long = (round(s * SAMPLE_RATE) for s in (length_s, LENGTHS_S[-1]))
    flops = [
        plan_length(size, objective, length_s=s, batch=1).forward_gflops / s
        for s in (length_s, LENGTHS_S[-1])
    ]
    held = _gib(size, objective, short, batch)
    weights, one = (_gib(size, objective, long, number) for number in (0, 1))
    equal = weights + (one - weights) * batch * short / long
    return Saving(
        flops=1 - flops[0] / flops[1],
        memory=1 - held / equal,
        memory_of_as_many=1 - held / _gib(size, objective, long, batch),
    )


def overrides(size: str, row: SequencePlan) -> str:
    """fairseq's overrides for a row of `plan_update` and a set cut to its length.

    Nothing of the set is dropped or cropped. Raises BudgetError if no batch fits into memory.
    """
    if row.batch is None or row.update_freq is None:
        raise BudgetError(
            f"one sequence of {row.length_s:g} s takes {row.sequence_gib:.1f} GiB with "
            f"size {size}: raise --gpu-gib, or take a smaller --size"
        )
    max_tokens = round(row.batch * row.length_s * SAMPLE_RATE * MAX_TOKENS_SLACK)
    model = " ".join(f"{name}={n}" for name, n in model_overrides(find_encoder(size)).items())
    return (
        f"{model} dataset.batch_size={row.batch} dataset.max_tokens={max_tokens} "
        f"optimization.update_freq=[{row.update_freq}] "
        "task.min_sample_size=0 task.max_sample_size=null"
    )


def _gib(size: str, objective: str, num_samples: int, batch: int) -> float:
    return batch_bytes(size, objective, num_samples, batch, precision=PRECISION) / 2**30
