"""How true the boundaries of a student that integrates and fires are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.frames import RECEPTIVE_FIELD, SAMPLE_RATE
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.report.boundaries import fire
from fairseq_budget.segmentation.agreement import TOLERANCE_S, BoundaryScore, score_boundaries
from fairseq_budget.segmentation.intervals import boundary_times
from fairseq_budget.text.alignments import SpansOf

STUDENT, EVEN = "student", "evenly spaced, as many"


def score_split(
    encoder: SpeechEncoder, corpus: Corpus, spans_of: SpansOf
) -> dict[str, BoundaryScore]:
    """Boundaries of all utterances against the true ones, and beside them what spacing alone gives.

    Utterances shorter than a frame are left out.
    """
    scores = {STUDENT: BoundaryScore(), EVEN: BoundaryScore()}
    indices = np.flatnonzero(corpus.sizes >= RECEPTIVE_FIELD).tolist()
    for index in Progress(indices, f"{corpus.path.stem}: boundaries", unit="utterance"):
        found = fire(encoder, corpus.read(index)).boundaries_s
        duration_s = float(corpus.sizes[index]) / SAMPLE_RATE
        even = np.linspace(0, duration_s, len(found) + 2)[1:-1]
        true = true_boundaries(corpus, index, spans_of)
        scores[STUDENT] += score_boundaries(found.tolist(), true)
        scores[EVEN] += score_boundaries(even.tolist(), true)
    return scores


def true_boundaries(corpus: Corpus, index: int, spans_of: SpansOf) -> Sequence[float]:
    """Boundaries within utterance `index` in seconds; those at its start and end are none."""
    times_s = np.unique(boundary_times(corpus.utterance(index), spans_of))
    inside = (times_s > TOLERANCE_S) & (times_s < times_s[-1] - TOLERANCE_S)
    return times_s[inside].tolist()
