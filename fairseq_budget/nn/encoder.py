"""The one speech encoder: waveform in, hidden states at 50 Hz out.

Shapes: B batch, S samples, T frames, K segments, C front-end channels, D model width, L layers.
Batch first; without subsampling K = T.

frontend -> [LayerNorm] -> [subsampling] -> projection -> dropout -> [alterations]
         -> positional conv, transformer | Zipformer -> [upsampling]

Parameter names are fairseq's (HuBERT and wav2vec 2.0), so their weights load without a map; below
the Zipformer's own name they are k2SSL's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.config import EncoderConfig, ResolvedConfig
from fairseq_budget.nn.conv_frontend import ConvFrontend
from fairseq_budget.nn.dropout import dropout
from fairseq_budget.nn.lengths import normalize_wave, padding_mask
from fairseq_budget.nn.logmel_frontend import LogMelFrontend
from fairseq_budget.nn.masking import add_magnitude_noise, mask_channel_block
from fairseq_budget.nn.subsample import Segments, Subsampler, Upsampler
from fairseq_budget.nn.transformer import TransformerEncoder
from fairseq_budget.nn.waveforms import Waveforms, as_batch
from fairseq_budget.nn.zipformer.encoder import ADJUSTED_BATCH_S, ZipformerEncoder


@dataclass
class EncoderOutput:
    """The encoder's output.

    features: (B, T, C), the front-end's output after LayerNorm, before the projection and masks;
    hidden_states: L+1 tensors (B, K, D), the first layer's input and every layer's output, which
        of a Zipformer are those of its stacks (see nn/zipformer.py);
    padding_mask: (B, K) bool, True = padding, or None when nothing is padded;
    feature_penalty: sum of squares and number of elements of the front-end's output. Differs:
        fairseq counts padding, too; here valid frames only, unless ``mask_padding=False``;
    segments: how T frames became K segments; None without subsampling;
    output: what heads see, the last hidden state; at T frames again if the config has ``upsample``;
    output_padding: (B, K or T) bool, the output's own padding mask, or None;
    masked: (B, K or T) bool, what of the output was hidden; None if nothing was.
    """

    features: Tensor
    hidden_states: list[Tensor]
    padding_mask: Tensor | None
    feature_penalty: tuple[Tensor, Tensor | int]
    segments: Segments | None
    output: Tensor
    output_padding: Tensor | None
    masked: Tensor | None

    @property
    def last_hidden_state(self) -> Tensor:
        return self.hidden_states[-1]

    def at_frame_rate(self) -> list[Tensor]:
        """All layers, (B, T, D): segments are repeated; the last is upsampled if the model does."""
        if self.segments is None:
            return self.hidden_states
        states = [self.segments.expand(state) for state in self.hidden_states]
        return states if self.output is self.last_hidden_state else [*states[:-1], self.output]

    def at_output_rate(self, x: Tensor, *, gradient: bool = False) -> Tensor:
        """x (B, T, F), a target of every frame -> the mean over each segment (B, K, F) float32.

        As it is where the output has a frame for a frame. ``gradient``: into CIF's alphas.
        """
        if self.segments is None or self.output is not self.last_hidden_state:
            return x
        return (self.segments if gradient else self.segments.detached()).pool(x)

    def labels_at_output_rate(self, labels: Tensor, num_classes: int) -> Tensor:
        """labels (B, T) -> (B, K), the longest of each segment; as they are without segments."""
        if self.segments is None or self.output is not self.last_hidden_state:
            return labels
        return self.segments.pool_labels(labels, num_classes)


def build_frontend(config: ResolvedConfig) -> ConvFrontend | LogMelFrontend:
    """What turns a waveform (B, S) into features (B, T, C); both kinds take and return the same."""
    if config.frontend == "logmel":
        return LogMelFrontend(config.conv_dim)
    return ConvFrontend(config.conv_dim, config.extractor_mode, config.conv_bias)


def build_encoder(config: ResolvedConfig) -> TransformerEncoder | ZipformerEncoder:
    """The stack behind the projection; both kinds take and return the same."""
    if config.zipformer is None:
        return TransformerEncoder(config)
    return ZipformerEncoder(
        config.zipformer,
        dropout=config.zipformer_dropout,
        balancers=config.balancers,
        whiten=config.whiten,
        mask_padding=config.mask_padding,
    )


class SpeechEncoder(nn.Module):
    """Encoder of TERA, HuBERT and wav2vec 2.0, of any size (see EncoderConfig)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = resolved = config.resolved()
        dim, conv_dim = resolved.input_dim, resolved.conv_dim
        kind, rate = config.subsample, config.subsample_rate
        self.feature_extractor = build_frontend(resolved)
        self.layer_norm = nn.LayerNorm(conv_dim) if config.feature_layer_norm else None
        self.subsampler = Subsampler(kind, rate, conv_dim) if kind != "none" else None
        self.post_extract_proj = nn.Linear(conv_dim, dim) if conv_dim != dim else None
        self.mask_emb = nn.Parameter(torch.empty(dim).uniform_()) if config.mask_embedding else None
        self.encoder = build_encoder(resolved)
        self.upsampler = None
        if self.subsampler is not None and config.upsample:
            self.upsampler = Upsampler(kind, rate, resolved.output_dim)

    def forward(
        self,
        source: Waveforms,
        num_samples: Tensor | None = None,
        *,
        sample_rate: float | None = None,
        mask_indices: Tensor | None = None,
        segment_ends: Tensor | None = None,
        layer_generator: torch.Generator | None = None,
        noise_generator: torch.Generator | None = None,
    ) -> EncoderOutput:
        """Encode one waveform or a batch of them.

        source (B, S) floats at 16 kHz, tensor or array; num_samples (B,) int, the valid samples of
        each row, or None when all are. Or one waveform (S,), or a list of them, of any lengths,
        which are padded here. ``sample_rate``, if given, is checked.
        mask_indices (B, T) bool, True = hide the frame behind the mask embedding; a segment is
        hidden if half of it is. segment_ends (B, K) int, of the given segments of
        ``subsample='segments'``, in frames. Randomness in training:
        ``layer_generator`` (CPU) chooses skipped layers, and whatever is random in a Zipformer;
        ``noise_generator`` (on source's device) draws the alterations, which need it. In eval
        nothing is random and nothing is altered but ``mask_indices``.

        Padded frames never change a valid one, unless ``mask_padding=False`` restores fairseq's and
        k2SSL's recipe: there they do in the front-end's norm over time and in a Zipformer.
        Raises BudgetError for what is no such waveform and for less than one frame (400 samples).
        """
        device = next(self.parameters()).device
        wave, num_samples = as_batch(source, num_samples, sample_rate, device=device)
        features = self._frontend(wave, num_samples)  # (B, T, C)
        mask = frame_mask = None
        if num_samples is not None:
            mask = frame_mask = padding_mask(num_frames(num_samples), features.shape[1])
        penalty = _sum_of_squares(features, mask if self.config.mask_padding else None)
        if self.layer_norm is not None:
            features = self.layer_norm(features)
        x, segments, masked = features, None, mask_indices
        if self.subsampler is not None:
            x, segments = self.subsampler(x, mask, segment_ends)  # (B, K, C)
            mask = segments.padding_mask
            masked = None if masked is None else segments.pool_mask(masked)
        if self.post_extract_proj is not None:
            x = self.post_extract_proj(x)  # (B, K, D)
        x = dropout(x, self.config.dropout_input, self.training)
        x = self._alter(x, masked, noise_generator)
        states = self.encoder(x, mask, layer_generator)
        output, output_padding = states[-1], mask
        if self.upsampler is not None and segments is not None:
            output = self.upsampler(output, segments, features.shape[1])  # (B, T, D)
            output_padding = frame_mask
            masked = None if masked is None else segments.expand_mask(masked, frame_mask)
        return EncoderOutput(
            features, states, mask, penalty, segments, output, output_padding, masked
        )

    def keep_layers(self, num_layers: int) -> None:
        """Cut off what lies above the first layers, or stacks of a Zipformer."""
        self.config = replace(self.config, encoder_layers=num_layers)
        self.encoder.keep_layers(num_layers)

    def set_seconds_trained(self, seconds: float) -> None:
        """Tell the encoder the seconds of audio heard: a Zipformer's schedules follow them."""
        if isinstance(self.encoder, ZipformerEncoder):
            self.encoder.set_adjusted_batch_count(seconds / ADJUSTED_BATCH_S)

    def _frontend(self, source: Tensor, num_samples: Tensor | None) -> Tensor:
        if self.config.normalize:
            source = normalize_wave(source.float(), num_samples)
        scale = self.config.feature_grad_mult
        heard = num_samples if self.config.mask_padding else None
        with torch.set_grad_enabled(torch.is_grad_enabled() and scale > 0):
            features = self.feature_extractor(source, heard)
        if features.requires_grad and scale != 1:
            features.register_hook(lambda grad: grad * scale)
        return features

    def _alter(
        self, x: Tensor, mask_indices: Tensor | None, generator: torch.Generator | None
    ) -> Tensor:
        config = self.config
        if mask_indices is not None:
            if self.mask_emb is None:
                raise BudgetError("model.mask_embedding=false: this encoder cannot hide frames")
            x = torch.where(mask_indices.unsqueeze(2), self.mask_emb.to(x.dtype), x)
        if self.training and generator is not None:
            if config.channel_mask_width:
                x = mask_channel_block(x, max_width=config.channel_mask_width, generator=generator)
            if config.noise_prob:
                x = add_magnitude_noise(
                    x, prob=config.noise_prob, std=config.noise_std, generator=generator
                )
        return x


def _sum_of_squares(features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | int]:
    squares = features.float().square().sum(2)  # (B, T)
    if mask is None:
        return squares.sum(), features.numel()
    return squares.masked_fill(mask, 0).sum(), (~mask).sum() * features.shape[2]
