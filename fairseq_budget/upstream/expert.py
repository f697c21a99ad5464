"""Our encoders behind s3prl's upstream contract: a list of waveforms in, hidden states out.

s3prl never reads how many frames an utterance has: it takes ``round(samples / rate)`` frames of
each row. An unpadded front-end gives one or two fewer, so a short utterance would lend itself
padding frames of its batch. Here every row goes on with its own last valid frame instead, and an
utterance yields the same frames alone and in any batch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fairseq_budget.audio.kaldi import SHIFT, num_mfcc_frames
from fairseq_budget.audio.mfcc import LogMel
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_SHIFT, RECEPTIVE_FIELD, num_frames
from fairseq_budget.nn.encoder import EncoderOutput
from fairseq_budget.nn.lengths import take_rows
from fairseq_budget.nn.subsample import RegularSegments
from fairseq_budget.pretrained import load_pretrained, read_pretrained, untrained
from fairseq_budget.upstream.options import read_options
from fairseq_budget.upstream.segment_lookup import SegmentLookup
from fairseq_budget.upstream.state_cache import StateCache
from fairseq_budget.upstream.state_store import DiskStore, MemoryStore, Store, fingerprint

logger = logging.getLogger(__name__)

LOG_MEL_MEAN, LOG_MEL_STD = -8.0, 4.0  # about those of speech at a peak of 0.5, for any speaker


class UpstreamExpert(nn.Module):
    """A pre-trained encoder; every layer at 50 Hz, the first layer's input included.

    ``ckpt`` is what `load_pretrained` takes: an exported folder or a checkpoint of ours.
    ``model_config`` is a mapping, or a YAML or JSON file of one (see `Options`).
    Layer drop is off. Raises BudgetError for a missing checkpoint and for unknown keys.

    A model that subsamples has its segments repeated over the frames that they integrated, so that
    s3prl, which takes an utterance to have a frame every 20 ms, finds them there.
    """

    def __init__(self, ckpt: str | None, model_config: Any = None, **_unused: Any) -> None:
        super().__init__()
        if ckpt is None:
            raise BudgetError(
                "budget_upstream needs a checkpoint: give -k (path_or_url in Python) a folder made "
                "by budget-export, or a checkpoint_*.pt of a budget model"
            )
        self.options = options = read_options(model_config)
        with torch.random.fork_rng(devices=[]):  # s3prl's classifier starts the same on every row
            if options.untrained is None:
                self.encoder = load_pretrained(ckpt)
            else:
                self.encoder = untrained(read_pretrained(ckpt), options.untrained).build_encoder()
        self.encoder.encoder.turn_off_layer_drop()  # layers weighed by s3prl must all be there
        if options.sequence == "segments":
            logger.warning(
                "sequence: segments: the downstream model gets the short sequence, which is "
                "another protocol than SUPERB's; keep its scores in a table of their own"
            )
        self.cache = None
        subsamples = self.encoder.config.subsample != "none" or options.output_subsample
        if options.cache_gib and not subsamples:
            self.cache = StateCache(self.encoder, self._open_store)
        self.lookup = None
        if options.segments is not None:
            self.lookup = SegmentLookup(options.segments, options.segments_name)

    def _open_store(self) -> Store:
        max_bytes = self.options.cache_gib * 2**30
        if self.options.cache_folder is None:
            return MemoryStore(max_bytes)
        return DiskStore(Path(self.options.cache_folder), fingerprint(self.encoder), max_bytes)

    def get_downsample_rates(self, key: str) -> int:
        """Samples per frame, the same for every key."""
        return FRAME_SHIFT * self.options.rate

    def forward(self, wavs: list[Tensor]) -> dict[str, Any]:
        """1-D waveforms at 16 kHz -> hidden_states, L+1 of (B, ceil(longest / 320), D).

        Of a model that subsamples also segments (B, K, D), its last layer without repetition,
        segment_lengths (B,) and segment_ends (B, K) in frames.
        """
        if self.cache is None:
            return self._heard(wavs)
        if self.training or torch.is_grad_enabled():
            self.cache.clear()  # it may be trained, by ways that leave no trace in its weights
            return self._heard(wavs)
        lengths = [held_length(max(len(wav), RECEPTIVE_FIELD), FRAME_SHIFT) for wav in wavs]
        states = self.cache.hidden_states(
            wavs, lengths, lambda new: self._heard(new)["hidden_states"]
        )
        return {"hidden_states": states, "last_hidden_state": states[-1]}

    def _heard(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
        source, num_samples = pad_waveforms(wavs)
        frames = num_frames(num_samples)
        ends = None
        if self.lookup is not None:
            rate = max(1, round(self.encoder.config.subsample_rate))
            ends = self.lookup.ends(wavs, frames.tolist(), rate).to(source.device)
        out = self.encoder(source, num_samples, segment_ends=ends)
        result = {} if out.segments is None else _segments_of(out)
        if self.options.sequence == "segments" and out.segments is not None:
            states = out.hidden_states
            result["hidden_states_len"] = result["segment_lengths"]
        else:
            index = held_frames(num_samples, frames, FRAME_SHIFT)
            states = [take_rows(state, index) for state in out.at_frame_rate()]
            if self.options.output_subsample:
                states = [self._subsample(state) for state in states]
        return {"hidden_states": states, "last_hidden_state": states[-1], **result}

    def _subsample(self, state: Tensor) -> Tensor:
        """Join every ``rate`` frames (B, T, D); the last ones are held."""
        windows = RegularSegments(state, None, self.options.rate)
        if self.options.output_subsample == "average":
            return windows.pool(state)
        missing = windows.size * self.options.rate - state.shape[1]
        held = state[:, -1:].expand(-1, missing, -1)
        return torch.cat([state, held], dim=1).unflatten(1, (windows.size, -1)).flatten(2)


def _segments_of(out: EncoderOutput) -> dict[str, Tensor]:
    assert out.segments is not None
    lengths = out.segments.lengths
    if lengths is None:
        lengths = torch.full((len(out.output),), out.segments.size, device=out.output.device)
    return {
        "segments": out.last_hidden_state,
        "segment_lengths": lengths,
        "segment_ends": out.segments.ends(),
    }


class LogMelExpert(nn.Module):
    """80 log-mel filters at 100 Hz, shifted and scaled by constants: the baseline of a table.

    Nothing is normalised per utterance: the mean over frames, which is all that mean pooling
    leaves of an utterance, would be the same for every one.
    """

    def __init__(self, ckpt: str | None = None, model_config: Any = None, **_unused: Any) -> None:
        super().__init__()
        if ckpt is not None or model_config is not None:
            raise BudgetError("budget_logmel has no weights and no options: leave -k and -g out")
        self.log_mel = LogMel(80)

    def get_downsample_rates(self, key: str) -> int:
        """Samples per frame."""
        return SHIFT

    def forward(self, wavs: list[Tensor]) -> dict[str, Any]:
        """1-D waveforms at 16 kHz -> hidden_states, one of (B, ceil(longest / 160), 80)."""
        source, num_samples = pad_waveforms(wavs)
        features = (self.log_mel(source, num_samples) - LOG_MEL_MEAN) / LOG_MEL_STD
        index = held_frames(num_samples, num_mfcc_frames(num_samples), SHIFT)
        features = take_rows(features, index)
        return {"hidden_states": [features], "last_hidden_state": features}


def pad_waveforms(wavs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Waveforms -> zero-padded (B, S) and lengths (B,); those below one frame grow to 400."""
    num_samples = torch.tensor(
        [max(len(wav), RECEPTIVE_FIELD) for wav in wavs], device=wavs[0].device
    )
    source = pad_sequence([wav.float() for wav in wavs], batch_first=True)
    missing = max(0, RECEPTIVE_FIELD - source.shape[1])
    return nn.functional.pad(source, (0, missing)), num_samples


def held_length(num_samples: int, rate: int) -> int:
    """Frames that s3prl may take of an utterance, at the most."""
    return -(-num_samples // rate)


def held_frames(num_samples: Tensor, frames: Tensor, rate: int) -> Tensor:
    """(B, ceil(longest / rate)) frame indices: 0, 1, ... and then each row's own last frame."""
    length = held_length(int(num_samples.max()), rate)
    time = torch.arange(length, device=frames.device)
    return time.minimum((frames - 1).unsqueeze(1))
