"""The features that are clustered: one row per frame of an utterance.

- ``mfcc``: 39 MFCC with deltas at 100 Hz, the numbers of simple_kmeans' ``dump_mfcc_feature.py``,
  by numpy: importing torch takes longer than an hour's MFCC.
- ``layer``: the output of a checkpoint's transformer layer at 50 Hz (encoder_layers.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from scipy import fft

from fairseq_budget.audio.kaldi import NUM_MFCC, SHIFT, Library, join, mfcc, num_mfcc_frames
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FFT_SIZE, FRAME_RATE_HZ, num_frames

if TYPE_CHECKING:
    from fairseq_budget.nn.encoder import SpeechEncoder

MFCC_RATE_HZ = 100

Wave = NDArray[np.float32]
Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Feature:
    """A feature: `layer` of `checkpoint` on `device`, or MFCC if there is no checkpoint."""

    checkpoint: Path | None = None
    layer: int = 0
    device: str = "cpu"
    teacher_sha256: str | None = None  # if given, what the checkpoint must still be

    @property
    def rate(self) -> int:
        """Frames per second."""
        return FRAME_RATE_HZ if self.checkpoint else MFCC_RATE_HZ

    @property
    def description(self) -> dict[str, Any]:
        """The entry of ``labels.json``; free of paths, since checkpoints move."""
        if self.checkpoint is None:
            return {"kind": "mfcc"}
        return {"kind": "layer", "layer": self.layer, "checkpoint": self.checkpoint.name}

    @property
    def parts_per_worker(self) -> int:
        """Parts (a minute of audio or more) that take about as long as a process to start."""
        return 1 if self.checkpoint else 15

    def num_frames(self, num_samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Frames of utterances of so many samples; 0 below 25 ms."""
        if self.checkpoint is None:
            return num_mfcc_frames(num_samples)
        return num_frames(num_samples)

    def build(self) -> Extractor:
        """Load what is needed; BudgetError for a checkpoint or a layer that is not there."""
        if self.checkpoint is None:
            return MfccExtractor()
        from fairseq_budget.pretrained import load_pretrained  # torch, which MFCC do without

        extractor = self._extractor(load_pretrained(self.checkpoint))
        if self.teacher_sha256 not in (None, extractor.teacher_sha256):
            raise BudgetError(
                f"{self.checkpoint} was overwritten in the meantime; name a checkpoint that stays, "
                "such as a folder written by budget-export"
            )
        return extractor

    def _extractor(self, encoder: SpeechEncoder) -> Extractor:
        from fairseq_budget.labels.encoder_layers import LayerExtractor

        return LayerExtractor(encoder, self.layer, self.device)


class Extractor(Protocol):
    """Waves -> (T, dim) float32 each."""

    dim: int
    teacher_sha256: str | None

    def __call__(self, waves: Sequence[Wave]) -> list[Frames]: ...


class MfccExtractor:
    """Waves -> (T, 39) float32 each."""

    dim = NUM_MFCC
    teacher_sha256: str | None = None

    def __call__(self, waves: Sequence[Wave]) -> list[Frames]:
        if not waves:  # none of a batch could be read
            return []
        joined, firsts = join(waves)
        num_frames = num_mfcc_frames(np.array([len(wave) for wave in waves], np.int64))
        features = mfcc(joined, firsts, num_frames, _NUMPY)
        pairs = zip(firsts, num_frames, strict=True)
        return [features[first : first + number] for first, number in pairs]


def _strided_frames(wave: Wave) -> Frames:
    shape = (len(wave) - FFT_SIZE) // SHIFT + 1, FFT_SIZE
    step = wave.strides[0]
    return as_strided(wave, shape, (SHIFT * step, step), writeable=False)


_NUMPY = Library(_strided_frames, fft.rfft, np.log, np.concatenate, lambda make, *args: make(*args))
