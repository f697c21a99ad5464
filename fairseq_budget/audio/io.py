"""Audio files: their headers and samples; the only import of soundfile.

A path may name a member of an archive (archives.py). The formats are those of libsndfile, wav,
flac, ogg with Vorbis or Opus, and mp3 among them.

One law: the length of a recording is the number of samples that reading it forward to its end
gives. `audio_info` believes a header where it cannot lie and counts where it can; all that is read
goes through `blocks`, so that a check, a copy and training hear the same samples.

Everything that reaches a model is 16 kHz mono. `read_audio` insists on it, and check.py says why a
file would not do, so that a bad file is found when a manifest is written and not in mid-training.
"""

from __future__ import annotations

import io
import wave as wave_file
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from fairseq_budget.audio import mp3
from fairseq_budget.audio.archives import open_bytes
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import SAMPLE_RATE

Block = NDArray[np.float32]  # (S, C)

MAX_PEAK = 2.0
"""6 dB above full scale is what resampling and lossy codecs leave; what is louder has another unit,
such as 16-bit numbers stored as floats."""

_BLOCK = 1 << 20  # samples of all channels that are decoded at a time: bounds the memory
UNKNOWN = 1 << 62  # libsndfile says this and more for a length that stands nowhere
_OGG_BEFORE, _OGG_LAST = 5 * SAMPLE_RATE, 30 * SAMPLE_RATE  # see `_first_to_decode`
_NOTHING = np.empty(0, dtype=np.float32)
_NOT_FINITE = "not finite: NaN or infinite samples"
_PCM_16 = "PCM_16"
_PCM16_SCALE = 1 << 15  # libsndfile divides by this on reading, so that a round trip is exact


class AudioError(BudgetError):
    """Audio that cannot be used; `reason` reads ``kind: detail``.

    The kinds are unreadable, truncated, length unknown, empty, not finite, out of range, silent,
    channels cancel, wrong sample rate, not mono.
    """

    def __init__(
        self, path: str | Path, reason: str, cure: str = "restore the file, or leave it out"
    ) -> None:
        super().__init__(f"{path}: {reason}; {cure}")
        self.path, self.reason, self.cure = path, reason, cure

    @property
    def kind(self) -> str:
        return self.reason.partition(":")[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return AudioError, (self.path, self.reason, self.cure)


@dataclass(frozen=True)
class AudioInfo:
    """Format, rate and length of a file; `num_samples` counts samples per channel."""

    sample_rate: int
    num_channels: int
    num_samples: int
    format: str

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.sample_rate


def audio_info(path: str | Path) -> AudioInfo:
    """Read what a file is, counted where its header does not say it; AudioError if it is no audio.

    A header tells the length, but of a flac that was written into a pipe: that one is decoded. The
    frames of an mp3 are counted where its header does not say them (`open_audio`).
    """
    with open_audio(path) as file:
        num_samples = file.frames
        if num_samples >= UNKNOWN:
            num_samples = sum(map(len, blocks(file)))
        return AudioInfo(file.samplerate, file.channels, num_samples, file.format)


def read_audio(path: str | Path, start: int = 0, num_samples: int | None = None) -> Block:
    """Samples [start, start + num_samples) of a 16 kHz mono file, by default to its end.

    Returns (S,) float32 within [-1, 1], those of the whole file. Only they are decoded, with some
    seconds before them in an ogg, and with all before them in an mp3 and what cannot be sought in.
    Raises AudioError for a file that is unreadable, truncated (fewer samples than asked), of
    another rate or channel count, not finite or out of range.
    """
    with open_audio(path) as file:
        info = AudioInfo(file.samplerate, file.channels, file.frames, file.format)
        if reason := find_mismatch(info):
            raise AudioError(path, reason, "convert it with budget-manifest --resample-to")
        first = _first_to_decode(file, start)
        if 0 < first < file.frames:
            file.seek(first)
        is_16_bits = file.subtype == _PCM_16
        end = None if num_samples is None else start + num_samples - first
        parts: list[Block] = []
        position = 0
        for block in blocks(file, end):
            if len(wanted := block[max(0, start - first - position) :, 0]):
                parts.append(wanted)  # what lies before is not kept, not even as a view
            position += len(block)
    alone = first == start and [len(part) for part in parts] == [num_samples]
    samples = parts[0] if alone else np.concatenate([_NOTHING, *parts])
    if num_samples is not None and len(samples) < num_samples:
        asked = f"samples {start} to {start + num_samples} were asked for"
        raise AudioError(path, f"truncated: {asked}, but they are not all there")
    if is_16_bits:  # any of which is within [-1, 1]
        return samples
    if reason := find_wrong_samples(samples):
        raise AudioError(path, reason)
    return samples.clip(-1, 1, out=samples)


def decode(path: str | Path) -> tuple[Block, int]:
    """All samples (S, C) float32 of a file of any rate and channel count, and its rate in Hz."""
    with open_audio(path) as file:
        nothing = np.empty((0, file.channels), dtype=np.float32)
        return np.concatenate([nothing, *blocks(file)]), file.samplerate


def write_audio(path: str | Path, samples: Block, sample_rate: int) -> None:
    """Write (S,) float samples as 16-bit PCM, atomically; beyond [-1, 1] they are clipped.

    A ``.flac`` becomes one, all else a wav. 16-bit samples that `read_audio` returned are written
    back bit for bit. Raises BudgetError for samples that are not finite.
    """
    if Path(path).suffix != ".flac":
        write_wav(path, [samples], sample_rate)
        return
    encoded = io.BytesIO()  # so that a full disk shows as the OSError of our own write
    numbers = _to_pcm16(path, samples)
    soundfile.write(encoded, numbers, sample_rate, format="FLAC", subtype=_PCM_16)
    with atomic_write(path, "wb") as file:
        file.write(encoded.getbuffer())


def write_wav(path: str | Path, waves: Iterable[Block], sample_rate: int) -> int:
    """Write waves (S,), one after the other, as a 16-bit wav; returns the number of samples.

    As `write_audio` does. Nothing is left of the file if `waves` raises.
    """
    with atomic_write(path, "wb") as file, wave_file.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sample_rate)
        for wave in waves:
            wav.writeframes(_to_pcm16(path, wave).astype("<i2").tobytes())
        return wav.tell()


def find_mismatch(info: AudioInfo) -> str | None:
    """Why an intact file must be resampled before use: its rate or its channels; None if not."""
    if info.sample_rate != SAMPLE_RATE:
        return f"wrong sample rate: {info.sample_rate} Hz instead of {SAMPLE_RATE} Hz"
    if info.num_channels != 1:
        return f"not mono: {info.num_channels} channels"
    return None


def find_wrong_samples(samples: Block) -> str | None:
    peak = max(float(samples.max(initial=0)), -float(samples.min(initial=0)))
    if not np.isfinite(peak):
        return _NOT_FINITE
    if peak > MAX_PEAK:
        return (
            f"out of range: samples up to {peak:.4g} instead of 1; are they 16-bit numbers? "
            "`budget-manifest --resample-to DIR --divide-by 32768` makes copies that are not"
        )
    return None


def _to_pcm16(path: str | Path, samples: Block) -> NDArray[np.int16]:
    if not np.isfinite(samples).all():
        raise BudgetError(f"{path}: {_NOT_FINITE}; only finite samples can be written")
    return np.rint(samples * _PCM16_SCALE).clip(-_PCM16_SCALE, _PCM16_SCALE - 1).astype(np.int16)


def _first_to_decode(file: soundfile.SoundFile, start: int) -> int:
    """Place to seek to, so that samples from `start` on become what they are in the whole file.

    Measured with libsndfile 1.2: Opus is exact from a second after a seek; Vorbis is shifted if the
    seek ends in the last page, which silence may stretch to 16 s; frames of mp3 build on earlier
    ones without a limit.
    """
    if file.format == "MP3" or file.frames >= UNKNOWN or not file.can_seek:
        return 0
    if file.format == "OGG":
        return max(0, min(start - _OGG_BEFORE, file.frames - _OGG_LAST))
    return start


def blocks(file: soundfile.SoundFile, num_samples: int | None = None) -> Iterator[Block]:
    """Samples (S, C) float32 from where the file is, to its end or so many.

    What is stored in 16 bits is scaled here: libsndfile gives the same numbers in twice the time.
    """
    left = UNKNOWN if num_samples is None else num_samples
    most = max(1, _BLOCK // file.channels)
    dtype = "int16" if file.subtype == _PCM_16 else "float32"
    while left > 0 and len(block := file.read(min(most, left), dtype=dtype, always_2d=True)):
        left -= len(block)
        yield block if dtype == "float32" else block / np.float32(_PCM16_SCALE)


class _ForwardFile(soundfile.SoundFile):
    """A file that is read forward only.

    soundfile itself reads no further than the header says and seeks after each read, which a flac
    of unknown length does not survive.
    """

    @property
    def can_seek(self) -> bool:
        return bool(super().seekable())

    def seekable(self) -> bool:
        return False


@contextmanager
def open_audio(path: str | Path) -> Iterator[_ForwardFile]:
    """Open an audio file; what libsndfile objects to, then or later, becomes AudioError."""
    try:
        with open_bytes(path) as content, _sound_file(path, content) as file:
            yield file
    except BudgetError:
        raise
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
        raise AudioError(path, f"unreadable: {str(said).rstrip('.')}") from error


def _sound_file(path: str | Path, content: io.BufferedReader) -> _ForwardFile:
    is_plain = isinstance(content.raw, io.FileIO)  # then libsndfile reads it without asking Python
    file = _ForwardFile(content.fileno(), closefd=False) if is_plain else _ForwardFile(content)
    if file.format != "MP3":
        return file
    content.seek(0)
    stream = mp3.find_stream(content)
    if stream is None:
        raise AudioError(path, "length unknown: an mp3 of a free bit rate; decode it to flac first")
    if stream.says_its_length:
        content.seek(0)
        return _ForwardFile(content)
    return _ForwardFile(mp3.with_length(content, stream))
