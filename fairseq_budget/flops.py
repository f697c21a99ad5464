"""The one FLOPs formula: multiply-accumulates of the encoder, 1 MAC = 2 FLOPs.

Reproduces the budget of "Efficient Training ... on a Compute Budget", section 4.4: counted are the
front-end's convolutions, all linear layers, both attention products and the positional
convolution. A backward pass costs twice a forward pass, hence training = 3 x forward (the paper's
[20]). LEFT_OUT says what is not counted.

Lengths are ints or integer arrays; the answer is of the same kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fairseq_budget.frames import CONV_GEOMETRY, SAMPLE_RATE, Count, num_frames, num_frames_after
from fairseq_budget.nn.config import EncoderConfig, ResolvedConfig

FLOPS_PER_MAC = 2
TRAINING_FACTOR = 3  # forward + backward
LEFT_OUT = (
    "not counted: heads and quantizer (a column of their own), norms, activations, softmax, weight "
    "norm, masks, targets, the optimizer; layer drop is not discounted"
)


def frontend_macs(config: ResolvedConfig, num_samples: Any) -> Any:
    """Sum over layers of output length x kernel x input channels x output channels."""
    dim = config.conv_dim
    return sum(
        num_frames_after(num_samples, layer) * kernel * (1 if layer == 1 else dim) * dim
        for layer, (kernel, _) in enumerate(CONV_GEOMETRY, 1)
    )


def body_macs(config: ResolvedConfig, num_frames: Any) -> Any:
    """Projection, positional convolution and transformer on ``num_frames`` frames."""
    dim, ffn_dim = config.encoder_embed_dim, config.encoder_ffn_embed_dim
    projection = config.conv_dim * dim if config.conv_dim != dim else 0
    positions = dim * (dim // config.conv_pos_groups) * config.conv_pos
    linear = 4 * dim * dim + 2 * dim * ffn_dim  # q, k, v, out; fc1, fc2
    attention = 2 * num_frames * dim  # query x key, weights x value
    return num_frames * (projection + positions + config.encoder_layers * (linear + attention))


def encoder_macs(config: EncoderConfig, num_samples: Count) -> Count:
    """Forward multiply-accumulates of an utterance of ``num_samples`` samples, or of each one."""
    resolved = config.resolved()
    macs: Count = frontend_macs(resolved, num_samples)
    macs += body_macs(resolved, num_frames(num_samples))
    return macs


def batch_training_flops(config: EncoderConfig, num_samples: ArrayLike) -> float:
    """FLOPs to train on a batch, from the true length in samples of each utterance (B,).

    Padding is not counted: it buys nothing.
    """
    macs = encoder_macs(config, np.asarray(num_samples, dtype=np.int64)).sum()
    return float(TRAINING_FACTOR * FLOPS_PER_MAC * macs)


def training_flops_per_second(config: EncoderConfig, sequence_s: float) -> float:
    """FLOPs to train on one second of audio, cut into sequences of ``sequence_s`` seconds."""
    macs = encoder_macs(config, round(sequence_s * SAMPLE_RATE))
    return TRAINING_FACTOR * FLOPS_PER_MAC * macs / sequence_s


def updates_for_budget(
    config: EncoderConfig, flops: float, *, seconds_per_update: float, sequence_s: float
) -> int:
    """Updates that a budget of ``flops`` pays for, to the nearest one.

    seconds_per_update: audio in one update, over all GPUs and accumulation steps.
    """
    per_update = training_flops_per_second(config, sequence_s) * seconds_per_update
    return round(flops / per_update)
