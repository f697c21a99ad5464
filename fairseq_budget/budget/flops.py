"""The one FLOPs formula: multiply-accumulates of the encoder, 1 MAC = 2 FLOPs.

Reproduces the budget of "Efficient Training ... on a Compute Budget", section 4.4: counted are the
front-end's convolutions, all linear layers, both attention products and the positional
convolution. A backward pass costs twice a forward pass, hence training = 3 x forward (the paper's
[20]). LEFT_OUT says what is not counted.

Of a log-mel front-end the mel filters and the linear layer count. The filters have no backward
pass, so three times their products pay for the Fourier transform before them, too.

Subsampling shortens all that follows the front-end ("On Compressing Sequences ...", section 6). As
there, the module that finds segments counts; pooling and upsampling do not.

Lengths are ints or integer arrays; the answer is of the same kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fairseq_budget.budget.flops_zipformer import zipformer_macs
from fairseq_budget.frames import (
    CONV_GEOMETRY,
    FFT_SIZE,
    MEL_BINS,
    SAMPLE_RATE,
    Count,
    num_frames,
    num_frames_after,
)
from fairseq_budget.nn.config import EncoderConfig, ResolvedConfig

FLOPS_PER_MAC = 2
TRAINING_FACTOR = 3  # forward + backward
CIF_KERNEL = 5  # frames that the convolution in front of the CIF weights sees
PROFILER_PER_HEAD = 4
"""Elementwise operations on attention weights that the profiler of the SUPERB challenge counts for
each head and pair of frames. Fitted to its published MACs of HuBERT Base, which it meets within
0.03 %; not derived from its source."""
LEFT_OUT = (
    "not counted: heads and quantizer (a column of their own), norms, activations, softmax, weight "
    "norm, masks, targets, the optimizer; layer drop is not discounted"
)


def frontend_macs(config: ResolvedConfig, num_samples: Any) -> Any:
    """Sum over layers of output length x kernel x input channels x output channels.

    Of log-mel two frames in each of ours: spectrum x mel filters, mel bins x output channels.
    """
    dim = config.conv_dim
    if config.frontend == "logmel":
        return num_frames(num_samples) * 2 * MEL_BINS * (FFT_SIZE // 2 + 1 + dim)
    return sum(
        num_frames_after(num_samples, layer) * kernel * (1 if layer == 1 else dim) * dim
        for layer, (kernel, _) in enumerate(CONV_GEOMETRY, 1)
    )


def positional_macs(config: ResolvedConfig) -> int:
    """The positional convolution on one frame."""
    dim = config.encoder_embed_dim
    return dim * (dim // config.conv_pos_groups) * config.conv_pos


def body_macs(config: ResolvedConfig, num_frames: Any) -> Any:
    """Projection, positional convolution and transformer, or Zipformer, on ``num_frames``."""
    if config.zipformer is not None:
        return zipformer_macs(config.zipformer, num_frames)
    dim, ffn_dim = config.encoder_embed_dim, config.encoder_ffn_embed_dim
    projection = config.conv_dim * dim if config.conv_dim != dim else 0
    positions = positional_macs(config)
    linear = 4 * dim * dim + 2 * dim * ffn_dim  # q, k, v, out; fc1, fc2
    attention = 2 * num_frames * dim  # query x key, weights x value
    return num_frames * (projection + positions + config.encoder_layers * (linear + attention))


def subsampling_macs(config: ResolvedConfig, num_frames: Any, num_segments: Any) -> Any:
    """MACs that turn ``num_frames`` frames into ``num_segments``: a convolution's, or CIF's."""
    dim = config.conv_dim
    if config.subsample == "conv":
        return num_segments * dim * dim * int(config.subsample_rate)
    if config.subsample == "cif":
        return num_frames * (dim * dim * CIF_KERNEL + dim)
    return num_frames * 0


def num_segments(config: EncoderConfig, num_samples: Any) -> Any:
    """Frames that follow the front-end: ceil(T / rate), or all T without subsampling.

    An estimate where segments vary (``cif``, ``segments``): measure them instead.
    """
    frames = num_frames(num_samples)
    if config.subsample == "none":
        return frames
    segments = np.ceil(frames / config.subsample_rate)
    return segments.astype(np.int64) if np.ndim(frames) else int(segments)


def encoder_macs(config: EncoderConfig, num_samples: Count, segments: Any = None) -> Count:
    """Forward multiply-accumulates of an utterance of ``num_samples`` samples, or of each one.

    segments: its measured number of segments; by default what the configured rate gives.
    """
    macs = frontend_macs(config.resolved(), num_samples)
    return macs + after_frontend_macs(config, num_samples, segments)


def after_frontend_macs(config: EncoderConfig, num_samples: Any, segments: Any = None) -> Any:
    """The part of ``encoder_macs`` that follows the front-end."""
    resolved = config.resolved()
    if segments is None:
        segments = num_segments(resolved, num_samples)
    finding = subsampling_macs(resolved, num_frames(num_samples), segments)
    return finding + body_macs(resolved, segments)


def cut_off_macs(config: EncoderConfig) -> int:
    """The frame that a positional convolution with an even kernel computes only to cut it off.

    Once an utterance; a budget does without it (0.01 % at 14 s), a comparison of MACs does not.
    """
    resolved = config.resolved()
    return positional_macs(resolved) if resolved.conv_pos % 2 == 0 else 0


def profiler_macs(config: EncoderConfig, num_samples: Any, segments: Any = None) -> Any:
    """MACs that the profiler of the SUPERB challenge counts besides; papers print its numbers.

    Elementwise operations on attention weights; fitted on published figures, not derived.
    """
    resolved = config.resolved()
    if segments is None:
        segments = num_segments(resolved, num_samples)
    per_pair = PROFILER_PER_HEAD * resolved.encoder_attention_heads * resolved.encoder_layers
    return per_pair * segments**2


def batch_training_flops(
    config: EncoderConfig, num_samples: ArrayLike, segments: ArrayLike | None = None
) -> float:
    """FLOPs to train on a batch, from the true length in samples of each utterance (B,).

    segments: measured numbers of segments (B,); by default what the configured rate gives.
    Padding is not counted: it buys nothing.
    """
    measured = None if segments is None else np.asarray(segments, dtype=np.int64)
    macs = encoder_macs(config, np.asarray(num_samples, dtype=np.int64), measured).sum()
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
