"""Segmenting the splits of a folder by smoothed codes, with its fitted model (smoothing.py).

The bytes are a function of the audio, the model and the penalty, whatever stopped the work before
and however many processes took part.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.column import refuse_other_kind
from fairseq_budget.corpus.column_kinds import (
    KIND_KEY,
    LABELS,
    SEGMENTS,
    check_name,
    is_segmentation,
    model_path,
)
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.segments import write_segments
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ, SAMPLE_RATE, num_frames
from fairseq_budget.labels.features import Feature
from fairseq_budget.labels.fitting import VERSION
from fairseq_budget.labels.jobs import (
    Source,
    Task,
    _load_model,
    _write_rows,
    is_heard,
    read_rows,
    run_tasks,
)
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.labelling import load_model, remove_leftovers
from fairseq_budget.labels.parts import Parts, Workers, cut_parts, single_threaded
from fairseq_budget.run.lock import hold
from fairseq_budget.segmentation.smoothing import check_penalty, smooth

KIND = "smoothed"
SAMPLE_S = 600  # of audio on which a penalty is searched
RATE_TOLERANCE = 0.002  # of the rate that is asked for: closer than the sample itself can tell
MAX_TRIALS = 60


@dataclass(frozen=True)
class Segment:
    """Segmenting `splits` at a `penalty` into columns `name`."""

    folder: Path
    feature: Feature
    splits: tuple[str, ...]
    penalty: float
    name: str = SEGMENTS
    labels: str = LABELS  # the label set whose centroids are taken

    def run(self, workers: Workers) -> None:
        """Write ``{split}.{name}`` of each split, unless it is there already, as it was written.

        Raises BudgetError if no model is fitted, it was fitted on other features, or another
        process is writing the same columns.
        """
        check_name(self.name, LABELS)
        check_penalty(self.penalty)
        path, what = self.folder / f".{self.name}.lock", f"--name {self.name} of {self.folder}"
        with hold(path, what, "another --name"):
            self._run(workers)

    def _run(self, workers: Workers) -> None:
        model = load_model(self.folder, self.feature, self.labels)
        for split in self.splits:
            refuse_other_kind(self.folder / f"{split}.tsv", self.name, is_segmentation)
        remove_leftovers(self.folder, (f"*.{self.name}", f"*.{self.name}.json"))
        for split in self.splits:
            self._run_split(read_text(self.folder / f"{split}.tsv"), model, workers)

    def _run_split(self, corpus: Corpus, model: KMeans, workers: Workers) -> None:
        more = {
            "penalty": self.penalty,
            "centroids": model.sha256,
            "feature": model.description["feature"],
            "teacher_sha256": model.description["teacher_sha256"],
        }
        settings = {"version": VERSION, "manifest": corpus.hash, **more}
        parts = Parts(self.folder, f"segments.{corpus.path.stem}.{self.name}", settings)
        runs = cut_parts(corpus.sizes)
        made = {KIND_KEY: KIND, "rate": FRAME_RATE_HZ, **more}
        if not corpus.has_column(self.name, **made):
            work = functools.partial(
                write_smoothed,
                source=Source.of(corpus, self.feature),
                model=model_path(self.folder, self.labels),
                centroids=model.sha256,
                penalty=self.penalty,
                parts=parts,
            )
            run_tasks(workers, work, dict(enumerate(runs)), parts, f"{corpus.path.stem}: segments")
            lines = (map(int, line.split()) for line in read_rows(parts, len(runs)))
            write_segments(corpus.path, lines, kind=KIND, name=self.name, more=more)
        parts.remove()


def find_penalty(
    corpus: Corpus, feature: Feature, target_hz: float, *, seed: int = 0, labels: str = LABELS
) -> tuple[float, float]:
    """The penalty at which a split has `target_hz` segments per second, and the rate it reaches.

    Rates count frames of 20 ms as such: 50 Hz would be a segment per frame. They are measured on a
    random sample of utterances, of up to 10 minutes of audio in all and drawn by the `seed`. The
    penalty has four digits, so that typing it gives the same segments. Raises BudgetError for a
    rate that no penalty reaches.
    """
    model = load_model(corpus.path.parent, feature, labels)
    source = Source.of(corpus, feature)
    with single_threaded():
        chosen = Progress(_sample(corpus, seed), "sample", unit="utterance")
        tables = (next(source.distances([index], model)) for index in chosen)
        distances = [table for table in tables if is_heard(table)]
        return search_penalty(functools.partial(_rate, distances), target_hz)


def search_penalty(rate_of: Callable[[float], float], target_hz: float) -> tuple[float, float]:
    """Bisect `rate_of`, which never rises with the penalty; raises BudgetError as above."""
    highest, lowest = rate_of(0.0), rate_of(sys.float_info.max)
    if not lowest <= target_hz <= highest:
        raise BudgetError(
            f"--target-rate {target_hz:g}: the sample has {highest:.2f} segments per second with "
            f"penalty 0 and {lowest:.2f} as whole utterances; ask for a rate between, or fit more "
            "clusters for a higher one"
        )
    below, above = 0.0, 1.0
    while rate_of(above) > target_hz:
        below, above = above, 2 * above
    rates = {below: rate_of(below), above: rate_of(above)}
    for _ in range(MAX_TRIALS):
        penalty = float(f"{(below + above) / 2:.4g}")
        if penalty in rates or _is_close(rates.values(), target_hz):
            break
        rates[penalty] = rate_of(penalty)
        below, above = (penalty, above) if rates[penalty] > target_hz else (below, penalty)
    best = min(rates, key=lambda penalty: abs(rates[penalty] - target_hz))
    return best, rates[best]


def _is_close(rates: Iterable[float], target_hz: float) -> bool:
    return min(abs(rate - target_hz) for rate in rates) <= RATE_TOLERANCE * target_hz


def _sample(corpus: Corpus, seed: int) -> list[int]:
    """Utterances with a frame at least, in a random order, of up to SAMPLE_S in all."""
    order = np.random.default_rng([seed, 2]).permutation(np.flatnonzero(num_frames(corpus.sizes)))
    before = np.cumsum(corpus.sizes[order]) - corpus.sizes[order]
    chosen = order[before < SAMPLE_S * SAMPLE_RATE].tolist()
    if not chosen:
        raise BudgetError(f"no utterance of {corpus.path} has a frame; 25 ms of audio make one")
    return chosen


def _rate(distances: list[np.ndarray], penalty: float) -> float:
    """Segments per second of the utterances with these `distances` (T, K)."""
    num_segments = sum(len(smooth(table, penalty)[1]) for table in distances)
    return FRAME_RATE_HZ * num_segments / sum(map(len, distances))


def write_smoothed(
    task: Task, *, source: Source, model: Path, centroids: str, penalty: float, parts: Parts
) -> int:
    """A part of a segmentation: a line of ends of segments for each utterance that is heard."""
    index, run = task
    kmeans = _load_model(model, centroids)
    tables = source.distances(run, kmeans)
    nothing = np.zeros(0, dtype=np.int64)
    rows = (smooth(table, penalty)[1] if is_heard(table) else nothing for table in tables)
    _write_rows(parts, index, rows)
    return len(run)
