"""The length to pre-train at for a downstream task, from the lengths of its utterances.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio", section 4: pre-training on sequences as long as those of the task gives the best scores,
but for 1 s, which holds too little. We read its Table 1 as `RULE`, which is the best set with a
frozen encoder for five tasks of seven: 12 keywords are better by 0.09 % at 10 s, speaker
verification by 0.26 % at 15 s. The nearest length would choose alike for these tasks, but of the
sets' true means (5.2, 10.4 and 15.8 s) 10.4 is nearest to speech recognition's 12.69.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.accumulation import fit_update
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.length_plan import LENGTHS_S, plan_length
from fairseq_budget.memory import batch_bytes

RULE = "the shortest of 5, 10 and 15 s that is not below the mean utterance, else 15 s"
RECOMMENDED_S = LENGTHS_S[1:]  # 1 s was the worst of all for every task
PRECISION = "mixed"  # as the presets train on GPUs
USABLE_MEMORY = 0.8  # the closed form is short of what was measured by up to a sixth
MAX_TOKENS_SLACK = 1.05  # pieces of a cut set may be longer than its mean, by 3 % at 15 s

_BAR_WIDTHS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
_MAX_BARS = 15


class PaperTask(NamedTuple):
    """A row of Table 1: scores (%) of the sets of `LENGTHS_S`, frozen and unfrozen encoder."""

    task: str
    metric: str
    mean_s: float
    frozen: tuple[float, float, float, float]
    unfrozen: tuple[float, float, float, float]

    def best_s(self) -> float:
        """The set with the best score, frozen, which the paper takes for the direct indication."""
        best = max if self.metric == "accuracy" else min
        return LENGTHS_S[self.frozen.index(best(self.frozen))]


TABLE_1 = (
    PaperTask("KWS, 12 words", "accuracy", 0.98,
              (94.46, 95.97, 96.06, 94.83), (98.67, 99.08, 98.86, 98.51)),
    PaperTask("KWS, 35 words", "accuracy", 0.98,
              (93.08, 95.17, 94.38, 93.83), (97.84, 97.97, 97.87, 97.76)),
    PaperTask("SF", "CER", 2.73, (5.32, 1.99, 2.44, 3.21), (1.37, 0.36, 0.35, 0.24)),
    PaperTask("ER", "accuracy", 4.55,
              (57.40, 62.61, 60.12, 60.53), (68.80, 76.54, 72.71, 74.91)),
    PaperTask("SID", "accuracy", 8.3,
              (82.61, 87.52, 89.21, 88.11), (95.06, 96.18, 96.45, 95.52)),
    PaperTask("ASV", "EER", 8.3, (12.67, 7.72, 7.33, 7.07), (6.80, 5.95, 5.87, 5.64)),
    PaperTask("ASR", "WER", 12.69, (20.64, 11.47, 9.35, 8.72), (8.79, 6.99, 6.23, 6.20)),
)  # fmt: skip


def match_length(mean_s: float) -> float:
    """The length of pre-training sequences for utterances of this mean length, by `RULE`."""
    return next((s for s in RECOMMENDED_S if s >= mean_s), RECOMMENDED_S[-1])


def describe_lengths(sizes: NDArray[Any]) -> dict[str, Any]:
    """Counts, mean, median and 90th percentile of utterances of ``sizes`` (N,) samples."""
    median, p90 = np.quantile(sizes, (0.5, 0.9)) / SAMPLE_RATE
    return {
        "num_utterances": len(sizes),
        "hours": float(sizes.sum()) / SAMPLE_RATE / 3600,
        "mean_s": float(sizes.mean()) / SAMPLE_RATE,
        "median_s": float(median),
        "p90_s": float(p90),
    }


def length_histogram(sizes: NDArray[Any]) -> list[dict[str, Any]]:
    """Utterances in up to 15 bars; the last one may hold what is longer, too (``is_open``)."""
    seconds = np.asarray(sizes) / SAMPLE_RATE
    most_s = float(np.quantile(seconds, 0.99))
    width = next((w for w in _BAR_WIDTHS_S if most_s < _MAX_BARS * w), _BAR_WIDTHS_S[-1])
    last = min(int(most_s / width), _MAX_BARS - 1)
    bars = np.minimum((seconds / width).astype(np.int64), last)
    counts = np.bincount(bars)
    is_open = seconds.max() >= (last + 1) * width
    return [
        {
            "from_s": round(bar * width, 1),
            "to_s": round((bar + 1) * width, 1),
            "is_open": bool(bar == last and is_open),
            "num_utterances": int(counts[bar]),
        }
        for bar in range(int(bars.min()), last + 1)
    ]


def plan_update(
    size: str,
    objective: str,
    *,
    length_s: float,
    wanted_s: float,
    gpus: int = 1,
    batch_s: float = 87.5,
    gpu_gib: float | None = None,
) -> dict[str, Any]:
    """What training on sequences of ``length_s`` costs, in updates of ``wanted_s`` of audio.

    A batch holds up to ``batch_s`` seconds, or what `USABLE_MEMORY` of a GPU of ``gpu_gib`` has
    room for, by the closed form in mixed precision. ``batch`` and what follows from it are None if
    nothing fits.
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
    return {
        "length_s": length_s,
        "gflops_per_audio_second": row["forward_gflops"] / length_s,
        "sequence_gib": one,
        "batch": update and update.batch,
        "batch_gib": update and weights + update.batch * (one - weights),
        "update_freq": update and update.update_freq,
        "update_audio_s": update and update.audio_s,
    }


def saving(size: str, objective: str, *, length_s: float, batch: int) -> dict[str, float]:
    """Shares saved against 15 s by batches of ``batch`` sequences of ``length_s``.

    ``flops`` and ``memory``: in batches that hold the same seconds of audio;
    ``memory_of_as_many``: in batches of as many sequences, each shorter, as the paper compares.
    """
    short, long = (round(s * SAMPLE_RATE) for s in (length_s, LENGTHS_S[-1]))
    flops = [
        plan_length(size, objective, length_s=s, batch=1)["forward_gflops"] / s
        for s in (length_s, LENGTHS_S[-1])
    ]
    held = _gib(size, objective, short, batch)
    weights, one = (_gib(size, objective, long, number) for number in (0, 1))
    equal = weights + (one - weights) * batch * short / long
    return {
        "flops": 1 - flops[0] / flops[1],
        "memory": 1 - held / equal,
        "memory_of_as_many": 1 - held / _gib(size, objective, long, batch),
    }


def overrides(size: str, row: dict[str, Any]) -> str:
    """fairseq's overrides for a row of `plan_update` and a set cut to its length.

    Nothing of the set is dropped or cropped. Raises BudgetError if no batch fits into memory.
    """
    if row["batch"] is None:
        raise BudgetError(
            f"one sequence of {row['length_s']:g} s takes {row['sequence_gib']:.1f} GiB with "
            f"size {size}: raise --gpu-gib, or take a smaller --size"
        )
    max_tokens = round(row["batch"] * row["length_s"] * SAMPLE_RATE * MAX_TOKENS_SLACK)
    return (
        f"model.size={size} dataset.batch_size={row['batch']} dataset.max_tokens={max_tokens} "
        f"optimization.update_freq=[{row['update_freq']}] "
        "task.min_sample_size=0 task.max_sample_size=null"
    )


def _gib(size: str, objective: str, num_samples: int, batch: int) -> float:
    return batch_bytes(size, objective, num_samples, batch, precision=PRECISION) / 2**30
