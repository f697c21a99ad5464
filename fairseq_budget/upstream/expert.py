"""Our encoders behind s3prl's upstream contract: a list of waveforms in, hidden states out.

s3prl never reads how many frames an utterance has: it takes ``round(samples / rate)`` frames of
each row. An unpadded front-end gives one or two fewer, so a short utterance would lend itself
padding frames of its batch. Here every row goes on with its own last valid frame instead, and an
utterance yields the same frames alone and in any batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fairseq_budget.audio.mfcc import SHIFT, LogMel, num_mfcc_frames
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_SHIFT, RECEPTIVE_FIELD, num_frames
from fairseq_budget.pretrained import load_pretrained, read_pretrained, untrained

LOG_MEL_MEAN, LOG_MEL_STD = -8.0, 4.0  # about those of speech at a peak of 0.5, for any speaker


class UpstreamExpert(nn.Module):
    """A pre-trained encoder; every layer at 50 Hz, the first layer's input included.

    ``ckpt`` is what `load_pretrained` takes: an exported folder or a checkpoint of ours.
    ``model_config`` is a mapping, or a YAML or JSON file of one; its only key is
    ``untrained: SEED``, the same architecture with fresh weights, the control of every table.
    Layer drop is off. Raises BudgetError for a missing checkpoint and for unknown keys.
    """

    def __init__(self, ckpt: str | None, model_config: Any = None, **_unused: Any) -> None:
        super().__init__()
        if ckpt is None:
            raise BudgetError(
                "budget_upstream needs a checkpoint: give -k (path_or_url in Python) a folder made "
                "by budget-export, or a checkpoint_*.pt of a budget model"
            )
        seed = read_model_config(model_config).get("untrained")
        with torch.random.fork_rng(devices=[]):  # s3prl's classifier starts the same on every row
            if seed is None:
                self.encoder = load_pretrained(ckpt)
            else:
                self.encoder = untrained(read_pretrained(ckpt), seed).build_encoder()
        self.encoder.encoder.layerdrop = 0.0  # layers weighed by s3prl must all be there

    def get_downsample_rates(self, key: str) -> int:
        """Samples per frame, the same for every key."""
        return FRAME_SHIFT

    def forward(self, wavs: list[Tensor]) -> dict[str, Any]:
        """1-D waveforms at 16 kHz -> hidden_states, L+1 of (B, ceil(longest / 320), D)."""
        source, num_samples = pad_waveforms(wavs)
        states = self.encoder(source, num_samples).hidden_states
        index = held_frames(num_samples, num_frames(num_samples), FRAME_SHIFT)
        states = [take_frames(state, index) for state in states]
        return {"hidden_states": states, "last_hidden_state": states[-1]}


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
        features = take_frames(features, index)
        return {"hidden_states": [features], "last_hidden_state": features}


def read_model_config(model_config: Any) -> dict[str, Any]:
    """The options in a mapping or in a YAML or JSON file; {} for None. Unknown keys are errors."""
    options = {} if model_config is None else model_config
    if isinstance(options, str | Path):
        path = Path(options)
        if not path.is_file():
            raise BudgetError(f"-g {path}: no such file; expected YAML such as 'untrained: 1'")
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(options, dict) or set(options) - {"untrained"}:
        raise BudgetError(
            f"-g {options!r}: expected the key 'untrained' only, as in 'untrained: 1'"
        )
    if not isinstance(options.get("untrained", 0), int):
        raise BudgetError(f"untrained: {options['untrained']!r}: expected a seed, an integer")
    return options


def pad_waveforms(wavs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Waveforms -> zero-padded (B, S) and lengths (B,); those below one frame grow to 400."""
    num_samples = torch.tensor(
        [max(len(wav), RECEPTIVE_FIELD) for wav in wavs], device=wavs[0].device
    )
    source = pad_sequence([wav.float() for wav in wavs], batch_first=True)
    missing = max(0, RECEPTIVE_FIELD - source.shape[1])
    return nn.functional.pad(source, (0, missing)), num_samples


def held_frames(num_samples: Tensor, frames: Tensor, rate: int) -> Tensor:
    """(B, ceil(longest / rate)) frame indices: 0, 1, ... and then each row's own last frame."""
    length = -(-int(num_samples.max()) // rate)
    time = torch.arange(length, device=frames.device)
    return time.minimum((frames - 1).unsqueeze(1))


def take_frames(x: Tensor, index: Tensor) -> Tensor:
    """x (B, T, D) at the frames ``index`` (B, T') -> (B, T', D)."""
    return x.gather(1, index.unsqueeze(2).expand(-1, -1, x.shape[2]))
