"""Our audio reading behind the names that s3prl expects of torchaudio.

torchaudio 2.9 and later read files through TorchCodec and FFmpeg only and have no sox effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairseq_budget.audio.io import audio_info, decode, write_audio
from fairseq_budget.audio.resample import to_model_rate
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE

AUDIO_SUFFIXES = (".aac", ".au", ".flac", ".m4a", ".mp3", ".ogg", ".wav")  # librosa's own list


class AudioMetaData(NamedTuple):
    """The fields of torchaudio's class of this name that s3prl reads."""

    sample_rate: int
    num_frames: int
    num_channels: int


def load(
    uri: str | Path, frame_offset: int = 0, num_frames: int = -1, **_options: Any
) -> tuple[Tensor, int]:
    """Samples of an audio file as (C, S) float32 in [-1, 1], and its sample rate."""
    samples, sample_rate = decode(uri)
    end = len(samples) if num_frames < 0 else frame_offset + num_frames
    return torch.from_numpy(samples[frame_offset:end].T.copy()), sample_rate


def info(uri: str | Path, **_options: Any) -> AudioMetaData:
    """Sample rate, number of samples and channels, without decoding."""
    header = audio_info(uri)
    return AudioMetaData(header.sample_rate, header.num_samples, header.num_channels)


def save(uri: str | Path, src: Tensor, sample_rate: int, **_options: Any) -> None:
    """Write (1, S) samples as a 16-bit wav."""
    write_audio(uri, src.detach().cpu().squeeze(0).float().numpy(), sample_rate)


def apply_effects_file(
    path: str | Path, effects: Sequence[Sequence[str]], **_options: Any
) -> tuple[Tensor, int]:
    """Read a file and apply sox effects to it, see ``apply_effects_tensor``."""
    return apply_effects_tensor(*load(path), effects)


def apply_effects_tensor(
    tensor: Tensor, sample_rate: int, effects: Sequence[Sequence[str]], **_options: Any
) -> tuple[Tensor, int]:
    """The sox effects ``channels 1``, ``rate 16000``, ``gain DB``, ``silence`` on (C, S) samples.

    ``silence 1 SECONDS LEVEL% -1 SECONDS LEVEL%`` takes out all pauses. Differs: sox dithers and
    clips what it writes. Raises BudgetError for any other effect.
    """
    for effect in effects:
        match tuple(effect):
            case ("channels", "1"):
                tensor = tensor.mean(0, keepdim=True)
            case ("rate", rate) if int(rate) == SAMPLE_RATE:
                resampled = to_model_rate(tensor.numpy().T, sample_rate)
                tensor, sample_rate = torch.from_numpy(resampled).unsqueeze(0), SAMPLE_RATE
            case ("gain", decibels):
                tensor = tensor * 10 ** (float(decibels) / 20)
            case ("silence", "1", seconds, level, "-1", *same) if same == [seconds, level]:
                share = float(level.removesuffix("%")) / 100
                tensor = remove_pauses(tensor, sample_rate, float(seconds), share)
            case _:
                raise BudgetError(
                    f"sox effect {' '.join(effect)!r}: expected channels 1, rate {SAMPLE_RATE}, "
                    "gain DB or silence 1 T L -1 T L; this downstream needs a torchaudio that was "
                    "built with sox"
                )
    return tensor, sample_rate


def remove_pauses(samples: Tensor, sample_rate: int, seconds: float, level: float) -> Tensor:
    """Samples (C, S) without what is quieter than `level`, of full scale, for `seconds` or longer.

    Nor does sound count that is shorter than `seconds` and follows a pause or the beginning.
    Loudness is the root mean square of the last 20 ms, the loudest channel's.
    """
    window = max(1, sample_rate // 50)
    sums = torch.nn.functional.pad(samples.double().square().cumsum(1), (window, 0))
    power = (sums[:, window:] - sums[:, :-window]) / window
    is_loud = (power.amax(0) >= level**2).to(torch.int8)
    loud, lengths = torch.unique_consecutive(is_loud, return_counts=True)
    kept, in_pause = [], True
    for is_sound, length in zip(loud.tolist(), lengths.tolist(), strict=True):
        if length >= seconds * sample_rate:
            in_pause = not is_sound
        kept.append(not in_pause)
    return samples[:, torch.repeat_interleave(torch.tensor(kept, dtype=torch.bool), lengths)]


def find_files(directory: str | Path, **_options: Any) -> list[str]:
    """All audio files below a folder, sorted, as librosa.util.find_files lists them."""
    files = Path(directory).expanduser().resolve().rglob("*")
    return sorted(str(path) for path in files if path.suffix.lower() in AUDIO_SUFFIXES)
