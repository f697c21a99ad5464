"""Fitting k-means for a folder of manifests: ``kmeans.safetensors``, from a bounded sample.

The sample lies on disk, in parts, until the model is there; so an interruption costs one part. A
sample that is the whole split stays until the split is labelled, from it. What is written is a
function of the arguments and the manifest, whatever stopped it before.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.corpus.column_kinds import LABELS, check_name, info_path, model_path
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.features import Feature, Frames
from fairseq_budget.labels.jobs import Source, load_extractor, load_frames, run_tasks, write_sample
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.minibatch import fit_kmeans
from fairseq_budget.labels.parts import Parts, Workers, cut_parts, single_threaded
from fairseq_budget.labels.sample import Sample, choose_sample

VERSION = 3  # raise it when the same arguments come to mean other bytes


@dataclass(frozen=True)
class Fit:
    """A fit: clusters of `feature`, on at most `num_frames` frames of `split`."""

    folder: Path
    feature: Feature
    num_clusters: int
    num_frames: int
    split: str = "train"
    seed: int = 0
    name: str = LABELS  # of the label set

    def run(self, workers: Workers) -> KMeans:
        """The fitted model: the one that is there, if it was fitted just so, or a new one.

        A new one removes ``labels.json``, so that nothing trains on labels of the old one.
        """
        check_name(self.name)
        if (model := self.fitted()) is None:
            frames = self.extract(workers)
            with single_threaded():
                centroids = fit_kmeans(frames, self.num_clusters, self.seed)
                inertia = KMeans(centroids, {}).inertia(frames)
            found = {"inertia": round(inertia, 4), "num_frames_fitted": len(frames)}
            model = KMeans(centroids, {**self._settings, **found})
            info_path(self.folder, self.name).unlink(missing_ok=True)
            model.save(model_path(self.folder, self.name))
        self._drawn_parts.remove()
        return model

    def fitted(self) -> KMeans | None:
        """The model in the folder unless `run` would fit another one (as if it is damaged)."""
        try:
            model = KMeans.load(model_path(self.folder, self.name))
        except BudgetError:
            return None
        return model if self._settings.items() <= model.description.items() else None

    def extract(self, workers: Workers) -> Frames:
        """The sampled frames of what can be heard, in a random order; no part is computed twice."""
        sample, source = self._sample, Source.of(self._corpus, self.feature)
        is_whole = sample.num_frames == self._lengths.sum()
        parts = kept_features(self._corpus, self.feature) if is_whole else self._drawn_parts
        runs = cut_parts(self._corpus.sizes[sample.utterances])
        work = functools.partial(write_sample, source=source, sample=sample, parts=parts)
        run_tasks(workers, work, dict(enumerate(runs)), parts, f"{self.split}: sample")
        shape = sample.num_frames, load_extractor(self.feature).dim
        frames = np.empty(shape, dtype=np.float32)
        places = np.random.default_rng([self.seed, 1]).permutation(len(frames))
        start = 0
        for index in range(len(runs)):
            part = load_frames(parts, index)
            frames[places[start : start + len(part)]] = part
            start += len(part)
        heard = np.isfinite(frames[:, 0])
        return frames if heard.all() else frames[heard]

    @property
    def sample_bytes(self) -> int:
        """The size of the sample, in memory and for a while on disk."""
        return self._sample.num_frames * load_extractor(self.feature).dim * 4

    @functools.cached_property
    def _corpus(self) -> Corpus:
        return read_text(self.folder / f"{self.split}.tsv")

    @functools.cached_property
    def _sample(self) -> Sample:
        return choose_sample(self._lengths, self.num_frames, self.seed)

    @functools.cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return self.feature.num_frames(self._corpus.sizes)

    @property
    def _drawn_parts(self) -> Parts:
        return Parts(self.folder, f"sample.{self.name}", self._settings)

    @functools.cached_property
    def _settings(self) -> dict[str, Any]:
        """All that shapes the centroids."""
        return {
            "version": VERSION,
            "feature": self.feature.description,
            "rate": self.feature.rate,
            "teacher_sha256": load_extractor(self.feature).teacher_sha256,
            "num_clusters": self.num_clusters,
            "num_frames": self.num_frames,
            "split": self.split,
            "manifest": self._corpus.hash,
            "seed": self.seed,
        }


def kept_features(corpus: Corpus, feature: Feature) -> Parts:
    """All features of a split, in the parts of `cut_parts`, if it was fitted on as a whole."""
    settings = {
        "version": VERSION,
        "manifest": corpus.hash,
        "feature": feature.description,
        "teacher_sha256": load_extractor(feature).teacher_sha256,
    }
    return Parts(corpus.path.parent, f"features.{corpus.path.stem}", settings)
