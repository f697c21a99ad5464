"""What a run makes of one utterance that it validates on: for the report in HTML.

A TERA fills in what was hidden from it, a student with CIF says where segments end.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.packed import open_corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.pretrained import Pretrained, read_pretrained
from fairseq_budget.report.boundaries import Fired, fire
from fairseq_budget.report.reconstruction import Reconstruction, reconstruct
from fairseq_budget.report.trained import Trained

MIN_S, MAX_S = 1.0, 8.0  # of what is played and drawn


@dataclass(frozen=True)
class Heard:
    """An `utterance` by its name, its wave (S,) float32 of at most 8 s, and what was made of it."""

    utterance: str
    wave: NDArray[np.float32]
    made: Reconstruction | Fired


def hear(run: Trained) -> Heard | None:
    """None of other objectives, of what is not saved yet, and where the data are not there."""
    if run.checkpoint is None:
        return None
    with suppress(BudgetError), reading(run.checkpoint, "take another checkpoint"):
        checkpoint = read_pretrained(run.checkpoint)
        corpus = _validation(run.provenance)
        index = _utterance(corpus)
        most = min(int(corpus.sizes[index]), round(MAX_S * SAMPLE_RATE))
        wave = corpus.read(index, 0, most)
        return Heard(corpus.name(index), wave, _made(checkpoint, wave))
    return None


def _made(checkpoint: Pretrained, wave: NDArray[np.float32]) -> Reconstruction | Fired:
    if checkpoint.encoder.subsample == "cif":
        return fire(checkpoint.build_encoder(), wave)
    return reconstruct(checkpoint, wave)


def _validation(provenance: dict[str, Any]) -> Corpus:
    """The split that the run validates on; BudgetError where it is not there, or not said."""
    folder = (provenance.get("task") or {}).get("data")
    split = (provenance.get("dataset") or {}).get("valid_subset") or "valid"
    if not folder:
        raise BudgetError("the checkpoint does not say its data: expected task.data")
    return open_corpus(Path(str(folder)), str(split).split(",")[0])


def _utterance(corpus: Corpus) -> int:
    """The first of a second or more; BudgetError if there is none."""
    long_enough = np.flatnonzero(corpus.sizes >= MIN_S * SAMPLE_RATE)
    if not len(long_enough):
        raise BudgetError(f"{corpus.path} has no utterance of {MIN_S:g} s")
    return int(long_enough[0])
