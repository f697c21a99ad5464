"""Finding the given segments of a waveform: s3prl hands over samples, not names."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.segments import Segmentation, open_segments
from fairseq_budget.errors import BudgetError

logger = logging.getLogger(__name__)


class SegmentLookup:
    """The segmentations of every manifest in a folder that has one, found by the audio itself.

    Utterances with as many samples are compared sample by sample, so a file is read only when
    one of its length is asked for.
    """

    def __init__(self, folder: str | Path, name: str = "seg") -> None:
        self.folder = Path(folder)
        self._entries: dict[int, list[tuple[Corpus, Segmentation, int]]] = defaultdict(list)
        for manifest in sorted(self.folder.glob("*.tsv")):
            if manifest.with_suffix(f".{name}").is_file():
                corpus = read_text(manifest)
                segments = open_segments(self.folder, manifest.stem, name, corpus=corpus)
                for index, size in enumerate(corpus.sizes.tolist()):
                    self._entries[size].append((corpus, segments, index))
        if not self._entries:
            raise BudgetError(
                f"-g: segments: {folder}: no manifest there has a .{name} file; expected what "
                "`budget-labels boundaries` wrote"
            )

    def find(self, wave: Tensor) -> np.ndarray | None:
        """The ends of a waveform's segments, in frames; None, with a warning, if it is unknown."""
        samples = wave.detach().cpu().numpy()
        for corpus, segments, index in self._entries.get(len(samples), []):
            if np.allclose(corpus.read(index), samples, atol=1e-4):
                return segments.ends(index)
        logger.warning(
            "an utterance of %d samples is in no manifest of %s that has segments: regular ones "
            "are used", len(samples), self.folder,
        )  # fmt: skip
        return None

    def ends(self, wavs: Sequence[Tensor], num_frames: list[int], rate: int) -> Tensor:
        """(B, K) int64 for a batch, regular where unknown; padded by repeating the last."""
        rows = []
        for wave, frames in zip(wavs, num_frames, strict=True):
            found = self.find(wave)
            regular = np.minimum(np.arange(rate, frames + rate, rate), frames)
            rows.append(regular if found is None else found)
        longest = max(map(len, rows))
        padded = [np.pad(row, (0, longest - len(row)), mode="edge") for row in rows]
        return torch.from_numpy(np.stack(padded).astype(np.int64))
