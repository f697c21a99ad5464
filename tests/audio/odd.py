"""Odd recordings of real corpora, made at run time, each with what is right about it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from fairseq_budget.audio.mp3 import Frame
from tests.synthetic import tone, write_samples, write_tone

SECONDS = 4
LENGTH = SECONDS * 16_000
Maker = Callable[[Path], Path]


def written(name: str, subtype: str | None = None, scale: float = 1.0) -> Maker:
    """A tone in a format of libsndfile's."""

    def make(folder: Path) -> Path:
        kind = name.partition(".")[0].upper() if name.endswith(".wav") else None
        soundfile.write(folder / name, scale * tone(LENGTH, 0), 16_000, subtype, format=kind)
        return folder / name

    return make


def halved(make: Maker) -> Maker:
    def halve(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return path

    return halve


def mp3_without_header(folder: Path, *, mode: str = "VARIABLE", picture: int = 0) -> Path:
    """As a pipe leaves it; `picture` bytes of an ID3 tag before it."""
    path = folder / "a.mp3"
    noise = np.random.default_rng(0).uniform(-1, 1, LENGTH) * np.linspace(0, 0.5, LENGTH)
    with soundfile.SoundFile(path, "w", 16_000, 1, bitrate_mode=mode) as file:
        file.write(noise.astype(np.float32))
    content = path.read_bytes()
    first = Frame.parse(content[:4])
    assert first is not None
    assert b"Xing" in content[: first.size] or b"Info" in content[: first.size]
    size = bytes(picture >> 7 * place & 127 for place in (3, 2, 1, 0))
    tag = b"ID3\3\0\0" + size + b"\xff" * picture if picture else b""
    path.write_bytes(tag + content[first.size :])
    return path


def flac_of_unknown_length(folder: Path) -> Path:
    path = write_tone(folder / "a.flac", LENGTH)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the upper 4 of 36 bits
    content[22:26] = bytes(4)
    path.write_bytes(content)
    return path


def wav_of_sizes_0(folder: Path, sizes: tuple[int, ...] = (4, 40)) -> Path:
    path = write_tone(folder / "a.wav", LENGTH)
    content = bytearray(path.read_bytes())
    for place in sizes:
        content[place : place + 4] = bytes(4)
    path.write_bytes(content)
    return path


def pages(content: bytes) -> list[bytes]:
    starts = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    return [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


def ogg_without_a_page(folder: Path) -> Path:
    path = write_noise(folder / "a.ogg")
    kept = pages(path.read_bytes())
    del kept[len(kept) // 2]
    path.write_bytes(b"".join(kept))
    return path


def ogg_chain(folder: Path) -> Path:
    path = write_noise(folder / "a.ogg")
    content = bytearray(path.read_bytes())
    path.write_bytes(content + content.replace(content[14:18], b"\1\2\3\4"))
    return path


def write_noise(path: Path) -> Path:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (LENGTH, 1))
    return write_samples(path, noise.astype(np.float32), 16_000)


def antiphase(folder: Path) -> Path:
    wave = tone(LENGTH, 0)
    soundfile.write(folder / "a.wav", np.stack([wave, -wave], axis=1), 16_000)
    return folder / "a.wav"


def silence(folder: Path) -> Path:
    soundfile.write(folder / "a.wav", np.zeros(LENGTH), 16_000)
    return folder / "a.wav"


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "a.wav")
    return folder / "a.wav"


def wide_wav(folder: Path) -> Path:
    """A wav whose samples are followed by another chunk, as editors write it."""
    path = write_tone(folder / "a.wav", LENGTH)
    content = bytearray(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    content[4:8] = struct.pack("<I", len(content) - 8)
    path.write_bytes(content)
    return path


WHOLE: dict[str, Maker] = {
    "mp3, variable rate, without a header": mp3_without_header,
    "mp3 behind a picture": lambda folder: mp3_without_header(
        folder, mode="CONSTANT", picture=60_000
    ),
    "mp3": lambda folder: write_tone(folder / "a.mp3", LENGTH),
    "flac of unknown length": flac_of_unknown_length,
    "GSM 6.10": written("wav.wav", "GSM610"),
    "G.721": written("a.au", "G721_32"),
    "NIST": written("nist.wav"),
    "AIFF": written("a.aiff"),
    "CAF": written("a.caf"),
    "W64": written("w64.wav"),
    "RF64": written("rf64.wav"),
    "floats that overshoot": written("wav.wav", "FLOAT", scale=2.0),
    "wav with a chunk behind": wide_wav,
}
BAD: dict[str, tuple[str, Maker]] = {
    "half an RF64": ("truncated", halved(written("rf64.wav"))),
    "half a W64": ("truncated", halved(written("w64.wav"))),
    "half an AIFF": ("truncated", halved(written("a.aiff"))),
    "half a NIST": ("truncated", halved(written("nist.wav"))),
    "half a CAF": ("unreadable", halved(written("a.caf"))),
    "half an AU": ("truncated", halved(written("a.au"))),
    "half an mp3": ("truncated", halved(lambda folder: write_tone(folder / "a.mp3", LENGTH))),
    "half an ogg": ("truncated", halved(lambda folder: write_noise(folder / "a.ogg"))),
    "ogg without a page": ("truncated", ogg_without_a_page),
    "two oggs in one": ("unreadable", ogg_chain),
    "wav of sizes 0": ("length unknown", wav_of_sizes_0),
    "wav of size 0": ("length unknown", lambda folder: wav_of_sizes_0(folder, (40,))),
    "FIFO": ("unreadable", fifo),
}
WRONG: dict[str, tuple[str, Maker]] = {
    "16-bit numbers as floats": ("out of range", written("wav.wav", "FLOAT", scale=32_768)),
    "huge floats": ("out of range", written("wav.wav", "FLOAT", scale=1e30)),
    "silence": ("silent", silence),
}
