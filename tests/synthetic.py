"""Small corpora made from a seed: tones in noise, with nothing binary in git."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.frames import SAMPLE_RATE


def tone(num_samples: int, seed: int, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """A tone between 100 and 1000 Hz in quiet noise, (S,) float32 within [-0.6, 0.6]."""
    generator = np.random.default_rng(seed)
    phase = 2 * np.pi * generator.uniform(100, 1000) * np.arange(num_samples) / sample_rate
    noise = 0.01 * generator.standard_normal(num_samples)
    return (0.5 * np.sin(phase) + noise).astype(np.float32)


def write_tone(
    path: Path,
    num_samples: int,
    *,
    seed: int = 0,
    sample_rate: int = SAMPLE_RATE,
    channels: int = 1,
) -> Path:
    """Write one 16-bit file; its suffix decides between the formats."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = tone(num_samples, seed, sample_rate)
    return write_samples(path, np.stack([samples] * channels, axis=1), sample_rate)


def write_samples(path: Path, samples: NDArray[np.float32], sample_rate: int) -> Path:
    """Write samples (S, C) second by second: libsndfile's Vorbis crashes on minutes at once."""
    opus = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    with soundfile.SoundFile(path, "w", sample_rate, samples.shape[1], **opus) as file:
        for start in range(0, len(samples), sample_rate):
            file.write(samples[start : start + sample_rate])
    return path


def write_tone_corpus(
    folder: Path,
    num_utterances: int,
    *,
    seconds: tuple[float, float] = (1.0, 2.0),
    extensions: Sequence[str] = ("wav", "flac"),
    num_speakers: int = 2,
    seed: int = 0,
) -> Manifest:
    """Write files ``speaker_0/utterance_000.wav`` and so on; returns their manifest, unwritten.

    Durations are uniform between `seconds`; speakers and extensions take turns.
    """
    generator = np.random.default_rng(seed)
    utterances = []
    for index in range(num_utterances):
        num_samples = int(generator.uniform(*seconds) * SAMPLE_RATE)
        extension = extensions[index // num_speakers % len(extensions)]
        path = f"speaker_{index % num_speakers}/utterance_{index:03}.{extension}"
        write_tone(folder / path, num_samples, seed=seed + index)
        utterances.append(Utterance((Piece(path),), num_samples))
    return Manifest(folder, sorted(utterances, key=lambda utterance: utterance.name))


def blobs(num_frames: int, num_centres: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = 5 * rng.standard_normal((num_centres, 6))
    which = rng.integers(num_centres, size=num_frames)
    return (centres[which] + rng.standard_normal((num_frames, 6))).astype(np.float32)
