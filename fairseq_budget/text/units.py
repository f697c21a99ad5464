"""Phones, characters and word pieces of transcripts: what a recogniser may be asked to emit."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fairseq_budget.frames import SAMPLE_RATE


def characters(texts: Sequence[str]) -> list[list[str]]:
    """Letters, and the blank between two words, which s3prl's ASR emits as well."""
    return [list(text) for text in texts]


def word_pieces(texts: Sequence[str], vocab_size: int) -> list[list[int]]:
    """Ids of `vocab_size` word pieces that are learned from the texts themselves."""
    from fairseq_budget.text.word_pieces import encode, train_word_pieces  # sentencepiece

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bpe.model")
        train_word_pieces(texts, vocab_size, path)
        return encode(path, texts)


@dataclass(frozen=True)
class UnitRate:
    """How many units of a kind a second of audio holds on average, pauses included."""

    unit: str
    num_units: int
    num_different: int
    rate_hz: float


def units_per_second(
    unit: str, labels: Sequence[Sequence[Hashable]], num_samples: ArrayLike
) -> UnitRate:
    """The rate of `labels`, one sequence for each utterance of ``num_samples`` (N,)."""
    count = sum(map(len, labels))
    seconds = np.asarray(num_samples, dtype=np.int64).sum() / SAMPLE_RATE
    different = {label for row in labels for label in row}
    return UnitRate(unit, count, len(different), float(count / seconds))
