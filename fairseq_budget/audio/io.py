"""Audio files: header, samples and what is wrong with them; the only import of soundfile.

A path may name a member of an archive (archives.py). The formats are those of libsndfile, wav,
flac, ogg with Vorbis or Opus, and mp3 among them.

Everything that reaches a model is 16 kHz mono. `read_audio` insists on it and `inspect` says why a
file would not do, so that a bad file is found when a manifest is written and not in mid-training.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from fairseq_budget.audio.archives import open_bytes
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import SAMPLE_RATE

_BLOCK = 1 << 20  # samples per decoded block: bounds the memory of a check, whatever the file
_OGG_BEFORE, _OGG_LAST = 5 * SAMPLE_RATE, 30 * SAMPLE_RATE  # see `_first_to_decode`
_UNKNOWN_LENGTH = 0x7FFF0000  # programs that write wav to a pipe promise this many bytes or more
_NOT_FINITE = "not finite: NaN or infinite samples"
_PCM16_SCALE = 1 << 15  # libsndfile divides by this on reading, so that a round trip is exact


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says; `num_samples` counts samples per channel."""

    sample_rate: int
    num_channels: int
    num_samples: int
    format: str

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.sample_rate


def audio_info(path: str | Path) -> AudioInfo:
    """Read a file's header, decoding nothing; BudgetError if it is no audio file."""
    with _open(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames, file.format)


def read_audio(
    path: str | Path, start: int = 0, num_samples: int | None = None
) -> NDArray[np.float32]:
    """Samples [start, start + num_samples) of a 16 kHz mono file, by default to its end.

    Returns (S,) float32 within [-1, 1], those of the whole file. Only they are decoded, with some
    seconds before them in an ogg, and with all before them in an mp3. Raises BudgetError for a file
    that is unreadable, truncated (fewer samples than asked), of another rate or channel count, or
    not finite.
    """
    with _open(path) as file:
        info = AudioInfo(file.samplerate, file.channels, file.frames, file.format)
        if reason := find_mismatch(info):
            raise BudgetError(f"{path}: {reason}; convert it with budget-manifest --resample-to")
        wanted = info.num_samples - start if num_samples is None else num_samples
        if start + wanted <= info.num_samples:
            first = _first_to_decode(file, start)
            file.seek(first)
            samples: NDArray[np.float32] = file.read(start + wanted - first, dtype="float32")
            samples = samples[start - first :]
        else:
            samples = np.empty(0, dtype=np.float32)
    if len(samples) < wanted:
        raise BudgetError(
            f"{path}: truncated: samples {start} to {start + wanted} were asked for, "
            "but they are not all there; restore the file, or leave it out"
        )
    if not np.isfinite(samples).all():
        raise BudgetError(f"{path}: {_NOT_FINITE}; restore the file or leave it out")
    return samples


def _first_to_decode(file: soundfile.SoundFile, start: int) -> int:
    """Where to seek, so that samples from `start` on become what they are in the whole file.

    Measured with libsndfile 1.2: Opus is exact from a second after a seek; Vorbis is shifted if the
    seek ends in the last page, which silence may stretch to 16 s; frames of mp3 build on earlier
    ones without a limit.
    """
    if file.format == "MP3":
        return 0
    if file.format == "OGG":
        return max(0, min(start - _OGG_BEFORE, file.frames - _OGG_LAST))
    return start


def decode(path: str | Path) -> tuple[NDArray[np.float32], int]:
    """All samples (S, C) float32 of a file of any rate and channel count, and its rate in Hz."""
    with _open(path) as file:
        return file.read(dtype="float32", always_2d=True), file.samplerate


def write_audio(path: str | Path, samples: NDArray[np.float32], sample_rate: int) -> None:
    """Write (S,) float samples as 16-bit PCM, atomically; beyond [-1, 1] they are clipped.

    A ``.flac`` becomes one, all else a wav. 16-bit samples that `read_audio` returned are written
    back bit for bit. Raises BudgetError for samples that are not finite.
    """
    if not np.isfinite(samples).all():
        raise BudgetError(f"{path}: {_NOT_FINITE}; only finite samples can be written")
    scaled = np.rint(samples * _PCM16_SCALE).clip(-_PCM16_SCALE, _PCM16_SCALE - 1)
    kind = "FLAC" if Path(path).suffix == ".flac" else "WAV"
    encoded = io.BytesIO()  # so that a full disk shows as the OSError of our own write
    soundfile.write(encoded, scaled.astype(np.int16), sample_rate, format=kind, subtype="PCM_16")
    with atomic_write(path, "wb") as file:
        file.write(encoded.getbuffer())


def inspect(path: str | Path, full: bool) -> str | None:
    """Why a file cannot be trained on as it is, as ``kind: detail``, or None if it can.

    The kinds are unreadable, empty, truncated, not finite, wrong sample rate, not mono. Without
    `full` nothing but headers (and the last sample of a flac) is read, so that samples which are
    not finite, or lost in the middle of a file, stay unseen.
    """
    try:
        info = audio_info(path)
    except BudgetError as error:
        return unreadable(error)
    return find_damage(path, info, full=full) or find_mismatch(info)


def unreadable(error: BudgetError) -> str:
    """The reason that a file is left out whose header `audio_info` refused with `error`."""
    return f"unreadable: {_cause(error)}"


def find_mismatch(info: AudioInfo) -> str | None:
    """Why an intact file must be resampled before use: its rate or its channels; None if not."""
    if info.sample_rate != SAMPLE_RATE:
        return f"wrong sample rate: {info.sample_rate} Hz instead of {SAMPLE_RATE} Hz"
    if info.num_channels != 1:
        return f"not mono: {info.num_channels} channels"
    return None


def find_damage(path: str | Path, info: AudioInfo, *, full: bool) -> str | None:
    """What of a file with header `info` is lost or invalid, whatever its rate; None if nothing."""
    if missing := _missing_wav_bytes(path):
        return f"truncated: the last {missing} bytes are missing"
    if info.num_samples == 0:
        return "empty: no samples"
    if full:
        return _find_damage_by_decoding(path, info.num_samples)
    if info.format == "FLAC" and not _has_last_sample(path, info.num_samples):
        return f"truncated: the last of {info.num_samples} samples is missing"
    return None


def _find_damage_by_decoding(path: str | Path, num_samples: int) -> str | None:
    num_decoded = 0
    try:
        with _open(path) as file:
            while len(block := file.read(_BLOCK, dtype="float32")):
                if not np.isfinite(block).all():
                    return _NOT_FINITE
                num_decoded += len(block)
    except BudgetError as error:
        return f"truncated: {_cause(error)} after {num_decoded} samples or more"
    if num_decoded < num_samples:
        return f"truncated: {num_decoded} of {num_samples} samples decode"
    return None


def _has_last_sample(path: str | Path, num_samples: int) -> bool:
    """Whether the last sample decodes; a flac, whose header promises a length, seeks it quickly."""
    try:
        with _open(path) as file:
            file.seek(num_samples - 1)
            return len(file.read(1)) == 1
    except BudgetError:
        return False


def _missing_wav_bytes(path: str | Path) -> int:
    """Bytes that the data chunk of a wav promises and the file lacks; 0 for other formats.

    libsndfile believes the file's size rather than the header, so it cannot tell.
    """
    with open_bytes(path) as file:
        riff = file.read(12)
        if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
            return 0
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"data":
                end = file.tell() + size if size < _UNKNOWN_LENGTH else 0
                return max(0, end - file.seek(0, os.SEEK_END))
            file.seek(size + size % 2, os.SEEK_CUR)  # chunks are padded to even lengths
    return 0


def _cause(error: BudgetError) -> str:
    """The bare cause of an error of `_open`, without the path and the cure."""
    return _said(error.__cause__ or error)


def _said(error: BaseException) -> str:
    """What libsndfile or the system object to, without the path."""
    own = getattr(error, "error_string", None) or getattr(error, "strerror", None)
    return str(own or error).rstrip(".")


@contextmanager
def _open(path: str | Path) -> Iterator[soundfile.SoundFile]:
    """Open an audio file; what libsndfile objects to, then or later, becomes a BudgetError."""
    try:
        with open_bytes(path) as content, soundfile.SoundFile(content) as file:
            yield file
    except (soundfile.SoundFileError, OSError) as error:
        raise BudgetError(
            f"cannot read {path}: {_said(error)}; restore the file, or leave it out"
        ) from error
