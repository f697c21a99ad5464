"""Memory of a training batch in closed form: what lasts from forward to backward pass.

::

    16 bytes a parameter                            weight, gradient, Adam's state (timing.py)
  + B (front-end: 2 (T_1 + ... + T_7) + T   values of each of C channels, and 10 T_1
       or of log-mel frames: 3 T            of each, and 160 T
       body                                 values, see below)

T_l: steps that the front-end computes in convolution l, T: frames; what autograd holds of our
encoder, counted on its saved tensors. A value has 4 bytes, in mixed precision 2. Left out: work
space, what the allocator holds in reserve, heads' activations, and one copy of the kernels of all
convolutions.
"""

from __future__ import annotations

from functools import cache

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.budget.flops import num_segments
from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.frames import CONV_GEOMETRY, MEL_BINS, num_frames, num_frames_after
from fairseq_budget.nn.config import EncoderConfig, ResolvedConfig
from fairseq_budget.nn.conv_frontend import num_steps
from fairseq_budget.sizes import ZipformerSize

BYTES_PER_VALUE = {"fp32": 4, "mixed": 2}
ATTENTION_COPIES = 2  # softmax and what dropout leaves of it, where weights are kept


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
    config, parameters = find_encoder(size), _num_parameters(size, objective)
    return training_bytes(
        config, parameters, num_samples, batch, precision=precision, device=device
    )


def training_bytes(
    config: EncoderConfig,
    num_parameters: int,
    num_samples: int,
    batch: int,
    *,
    precision: str = "fp32",
    device: str = "cuda",
) -> int:
    """The same of any encoder, of a model that has so many parameters with its heads."""
    kept = activation_bytes(config, num_samples, precision=precision, keeps_weights=device == "cpu")
    return BYTES_PER_PARAMETER * num_parameters + batch * kept


def activation_bytes(
    config: EncoderConfig, num_samples: int, *, precision: str = "fp32", keeps_weights: bool = False
) -> int:
    """Bytes that one sequence of ``num_samples`` samples holds from forward to backward pass.

    precision: ``fp32`` or ``mixed``; keeps_weights: a transformer's attention weights too, as on a
    CPU with dropout (GPU kernels keep none; a Zipformer uses its own thrice, and always does).
    Of subsampling, what finds the segments is left out.
    """
    c, width = config.resolved(), BYTES_PER_VALUE[precision]
    frontend = width * _frontend_values(c, num_samples)
    frames = num_segments(config, num_samples)
    if c.zipformer is not None:
        return frontend + width * _zipformer_values(c.zipformer, frames)
    layers, dim = c.encoder_layers, c.encoder_embed_dim
    body = (8 * layers + 4) * dim + 2 * layers * c.encoder_ffn_embed_dim
    weights = layers * c.encoder_attention_heads * frames * keeps_weights
    masks = (2 * layers + 2) * dim + weights  # of dropout, a byte each
    return frontend + frames * (width * (body + ATTENTION_COPIES * weights) + masks)


def _frontend_values(config: ResolvedConfig, num_samples: int) -> int:
    """Values of inputs and outputs of its layers, and of the norm behind them."""
    frames = num_frames(num_samples)
    if config.frontend == "logmel":
        return frames * (3 * config.conv_dim + 2 * MEL_BINS)
    steps = num_steps(num_samples)
    windows = CONV_GEOMETRY[0][0] * steps[0]
    return config.conv_dim * (2 * sum(steps) + frames) + windows


def widest_values(config: EncoderConfig, num_samples: int) -> int:
    """Values of the largest output of a layer of the front-end: its first layer's."""
    c, is_conv = config.resolved(), config.frontend == "conv"
    return c.conv_dim * (num_frames_after(num_samples, 1) if is_conv else num_frames(num_samples))


def _zipformer_values(size: ZipformerSize, num_frames: int) -> int:
    """Values of all layers, each at its stack's rate, and of the stacks' way down and up again."""
    return sum(
        num_layers * _layer_values(size, stack, -(-num_frames // factor))
        + 2 * size.encoder_embed_dim[stack] * num_frames * (factor > 1)
        for stack, (num_layers, factor) in enumerate(
            zip(size.encoder_layers, size.downsampling, strict=True)
        )
    )


def _layer_values(size: ZipformerSize, stack: int, num_frames: int) -> int:
    """Swoosh and BiasNorm keep their inputs alone; weights of attention are kept once."""
    dim, heads = size.encoder_embed_dim[stack], size.encoder_attention_heads[stack]
    inputs = 9 * dim  # of the modules, of the norm and of the two bypasses' scales
    convolution = 2 * 6 * dim
    feed_forward = 3 * size.encoder_ffn_embed_dim[stack]
    gated = 7 * (3 * dim // 4)
    attention = heads * (
        2 * size.query_head_dim + size.pos_head_dim + 2 * 2 * size.value_head_dim + num_frames
    )
    return num_frames * (inputs + convolution + feed_forward + gated + attention)


@cache
def _num_parameters(size: str, objective: str) -> int:
    return count_parameters(size, objective).parameters


BYTES_PER_PARAMETER = 16  # weight, gradient and Adam's state: 4 + 4 + 8, or 2 + 2 + 4 + 8
