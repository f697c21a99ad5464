"""FLOPs and memory of a training batch against the length of its sequences, in closed form.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio", section 5.1 and Figure 2. FLOPs are those of flops.py. Memory is what lasts from forward to
backward pass::

    16 bytes a parameter                            weight, gradient, Adam's state (measure.py)
  + B (front-end: 3 T_1 + 2 (T_2 + ... + T_6) + 3 T   values of each of C channels
       body:      (8 L + 4) T D + 2 L T F             values
       dropout:   (2 L + 2) T D                       bytes
       attention: 3 L H T^2                           values, where the kernel keeps weights)

T_l: steps after convolution l, T: frames; what autograd holds of our encoder, counted on its
saved tensors. A value has 4 bytes, in mixed precision 2, but for the input of the front-end's norm,
which is taken in float32. GPU kernels keep no attention weights; with dropout, the CPU's does.
Left out: work space, what the allocator holds in reserve, heads' activations, and one copy of the
positional kernel.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fairseq_budget.flops import FLOPS_PER_MAC, TRAINING_FACTOR, encoder_macs
from fairseq_budget.frames import CONV_GEOMETRY, SAMPLE_RATE, num_frames, num_frames_after
from fairseq_budget.measure import BYTES_PER_PARAMETER
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.objectives import Heads
from fairseq_budget.plan import count_parameters

LENGTHS_S = (1.0, 5.0, 10.0, 15.0)  # the paper's sets
BATCHES = (1, 2, 4, 8, 12)
BYTES_PER_VALUE = {"fp32": 4, "mixed": 2}
ATTENTION_COPIES = 3  # softmax, dropout and their product, where a kernel keeps the weights


def activation_bytes(
    config: EncoderConfig, num_samples: int, *, precision: str = "fp32", keeps_weights: bool = False
) -> int:
    """Bytes that one sequence of ``num_samples`` samples holds from forward to backward pass.

    precision: ``fp32`` or ``mixed``; keeps_weights: attention weights too, as on a CPU.
    """
    c, width = config.resolved(), BYTES_PER_VALUE[precision]
    frames, layers, dim = num_frames(num_samples), c.encoder_layers, c.encoder_embed_dim
    first, *middle = (num_frames_after(num_samples, i) for i in range(1, len(CONV_GEOMETRY)))
    frontend = c.conv_dim * ((4 + 2 * width) * first + width * (2 * sum(middle) + 3 * frames))
    body = (8 * layers + 4) * dim + 2 * layers * c.encoder_ffn_embed_dim
    masks = (2 * layers + 2) * dim
    weights = ATTENTION_COPIES * layers * c.encoder_attention_heads * frames * keeps_weights
    return frontend + frames * (width * (body + weights) + masks)


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


def batch_bytes(
    size: str,
    objective: str,
    num_samples: int,
    batch: int,
    *,
    precision: str = "fp32",
    device: str = "cuda",
) -> int:
    """Memory of training on ``batch`` sequences of ``num_samples`` samples on a kind of device."""
    config = EncoderConfig(size=size)
    kept = activation_bytes(config, num_samples, precision=precision, keeps_weights=device == "cpu")
    return BYTES_PER_PARAMETER * _num_parameters(size, objective) + batch * kept


@cache
def _num_parameters(size: str, objective: str) -> int:
    return int(count_parameters(size, objective)["parameters"])
