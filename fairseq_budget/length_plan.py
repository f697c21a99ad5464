"""FLOPs and memory of a training batch against the length of its sequences, in closed form.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio", section 5.1 and Figure 2. FLOPs are those of flops.py, bytes those of memory.py.
"""

from __future__ import annotations

from typing import Any

from fairseq_budget.flops import FLOPS_PER_MAC, TRAINING_FACTOR, encoder_macs
from fairseq_budget.frames import SAMPLE_RATE, num_frames
from fairseq_budget.memory import BYTES_PER_VALUE, batch_bytes
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.objectives import Heads

LENGTHS_S = (1.0, 5.0, 10.0, 15.0)  # the paper's sets
BATCHES = (1, 2, 4, 8, 12)


def plan_length(
    size: str, objective: str, *, length_s: float, batch: int, device: str = "cuda"
) -> dict[str, Any]:
    """A cell of Figure 2: GFLOPs of a forward pass, TFLOPs of an update, GiB in each precision.

    ``head_gflops`` comes on top, as in the budget. ``batch`` sequences of ``length_s`` seconds.
    """
    config, heads = EncoderConfig(size=size), Heads(objective)
    num_samples = round(length_s * SAMPLE_RATE)
    forward = FLOPS_PER_MAC * batch * encoder_macs(config, num_samples)
    head = batch * length_s * heads.training_flops_per_second(config, length_s) / TRAINING_FACTOR
    return {
        "length_s": length_s,
        "batch": batch,
        "frames": num_frames(num_samples),
        "forward_gflops": forward / 1e9,
        "head_gflops": head / 1e9,
        "update_tflops": TRAINING_FACTOR * forward / 1e12,
        **{
            f"{precision}_gib": batch_bytes(
                size, objective, num_samples, batch, precision=precision, device=device
            )
            / 2**30
            for precision in BYTES_PER_VALUE
        },
    }
