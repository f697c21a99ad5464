"""K-means: centroids fitted on a sample of frames, and the nearest centroid of any frame.

simple_kmeans runs scikit-learn's MiniBatchKMeans (batches of 10,000, the best of 20 k-means++
starts, hundreds of batches until nothing improves). There a centroid is the mean of all frames that
ever fell to it, those of the first, bad assignments included. Differs: here the same
MiniBatchKMeans is started anew several times from the centroids that it has reached, so that old
assignments are forgotten. It reaches as low an inertia with half the batches and fewer starts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.structured import Range, check_entries, parse_json

BATCH_FRAMES = 10_000  # simple_kmeans' batch
NUM_STARTS = 3  # k-means++ starts, of which the best is taken
NUM_ROUNDS, BATCHES_PER_ROUND = 10, 10  # rounds that forget; a last one sees the whole sample
ASSIGN_FRAMES = 8192  # frames whose distances are held at once
_TENSOR, _METADATA, _HASH = "centroids", "kmeans", "sha256"

_KINDS = {  # of what a description says
    "feature": dict[str, Any],
    "rate": Annotated[int, Range(1, SAMPLE_RATE)],
    "teacher_sha256": str | None,
}

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class KMeans:
    """Centroids (K, D) float32, and what they were fitted on.

    The file is a safetensors file; its one metadata entry holds the description as json, and the
    hash of the centroids.
    """

    centroids: Frames
    description: dict[str, Any]

    @property
    def sha256(self) -> str:
        """SHA-256 of the centroids' little-endian bytes."""
        return hashlib.sha256(self.centroids.astype("<f4").tobytes()).hexdigest()

    def save(self, path: Path) -> None:
        text = json.dumps({**self.description, _HASH: self.sha256}, sort_keys=True)
        with atomic_write(path, "wb") as file:
            file.write(save({_TENSOR: self.centroids}, metadata={_METADATA: text}))

    @classmethod
    def load(cls, path: Path) -> KMeans:
        """Read a fitted model; BudgetError if there is none, or the file is something else."""
        if not path.is_file():
            raise BudgetError(
                f"{path} is missing: no centroids are fitted yet, and shards never fit; run "
                f"`budget-labels fit --data {path.parent}` once before `apply`"
            )
        try:
            with safe_open(path, framework="numpy") as file:
                description = parse_json((file.metadata() or {})[_METADATA], dict)
                check_entries(description, _KINDS)
                model = cls(file.get_tensor(_TENSOR), description)
            if model.centroids.ndim != 2 or not np.isfinite(model.centroids).all():
                raise ValueError("they are no finite vectors")
            if description.pop(_HASH, model.sha256) != model.sha256:
                raise ValueError("they are not those that were written")
            return model
        except (SafetensorError, OSError, KeyError, ValueError, AttributeError) as error:
            raise BudgetError(
                f"{path} holds no centroids ({error}); run `budget-labels make` or `fit` again, "
                "which fits them anew"
            ) from error

    def assign(self, frames: Frames) -> NDArray[np.int64]:
        """The nearest centroid of each frame: (T, D) -> (T,); of equally near ones the lowest."""
        self._check(frames)
        return _nearest(frames, self.centroids)[0]

    def distances(self, frames: Frames) -> Frames:
        """Squared distances to all centroids, less the frame's own norm: (T, D) -> (T, K)."""
        self._check(frames)
        none = np.zeros((0, len(self.centroids)), np.float32)
        return np.concatenate([none, *_distances(frames, self.centroids)])

    def inertia(self, frames: Frames) -> float:
        """Mean squared distance of the frames (T, D) to their nearest centroids."""
        return _inertia(frames, self.centroids)

    def _check(self, frames: Frames) -> None:
        if frames.shape[1] != self.centroids.shape[1]:
            raise BudgetError(
                f"frames of {frames.shape[1]} values and centroids of {self.centroids.shape[1]}: "
                "the centroids were fitted on another feature; run `budget-labels fit` again"
            )


def fit_kmeans(frames: Frames, num_clusters: int, seed: int) -> Frames:
    """Centroids (K, D) of shuffled frames (T, D) float32.

    A function of its arguments: threads are limited to one, so that their number changes nothing.
    Raises BudgetError for fewer than two clusters, fewer frames than clusters, invalid frames, or
    when scikit-learn is missing.
    """
    _check_sample(frames, num_clusters)
    try:
        from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError as error:
        raise BudgetError(
            "fitting k-means needs scikit-learn; pip install 'fairseq_budget[labels]'"
        ) from error

    batches = [frames[i : i + BATCH_FRAMES] for i in range(0, len(frames), BATCH_FRAMES)]
    if len(batches) > 1 and len(batches[-1]) < BATCH_FRAMES // 2:
        del batches[-1]
    rounds = [BATCHES_PER_ROUND] * NUM_ROUNDS + [max(BATCHES_PER_ROUND, len(batches))]
    with threadpool_limits(limits=1):
        head = frames[: max(BATCH_FRAMES, 10 * num_clusters)]
        seeds = [seed * NUM_STARTS + start for start in range(NUM_STARTS)]
        starts = [kmeans_plusplus(head, num_clusters, random_state=s)[0] for s in seeds]
        centroids = min(starts, key=lambda start: _inertia(head, start))
        position = 0
        for num_batches in rounds:
            model = MiniBatchKMeans(
                num_clusters, init=centroids, n_init=1, reassignment_ratio=0, compute_labels=False
            )
            for _ in range(num_batches):
                model.partial_fit(batches[position % len(batches)])
                position += 1
            centroids = model.cluster_centers_
    return np.ascontiguousarray(centroids, dtype=np.float32)


def _check_sample(frames: Frames, num_clusters: int) -> None:
    if num_clusters < 2:
        raise BudgetError(f"--clusters {num_clusters}: fewer than 2 are nothing to learn")
    if len(frames) < num_clusters:
        raise BudgetError(
            f"the sample has {len(frames)} frames for {num_clusters} clusters; give a larger "
            "--sample-frames or --sample-hours, more audio, or fewer --clusters"
        )
    if not np.isfinite(frames).all():
        raise BudgetError("the features of the sample are not finite; is the checkpoint sound?")


def _nearest(frames: Frames, centroids: Frames) -> tuple[NDArray[np.int64], Frames]:
    """Index of, and squared distance to, the nearest centroid, less the frame's own norm."""
    ids, distances = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for distance in _distances(frames, centroids):
        nearest = distance.argmin(axis=1)  # numpy's promises the first of equals
        ids.append(nearest)
        distances.append(distance[np.arange(len(nearest)), nearest])
    return np.concatenate(ids), np.concatenate(distances)


def _distances(frames: Frames, centroids: Frames) -> Iterator[Frames]:
    """Blocks of (up to ASSIGN_FRAMES, K) squared distances, less the frame's own norm."""
    table = torch.from_numpy(np.ascontiguousarray(-2 * centroids.T))
    norms = torch.from_numpy((centroids.astype(np.float64) ** 2).sum(1).astype(np.float32))
    for start in range(0, len(frames), ASSIGN_FRAMES):
        block = torch.from_numpy(np.ascontiguousarray(frames[start : start + ASSIGN_FRAMES]))
        yield torch.addmm(norms, block, table).numpy()


def _inertia(frames: Frames, centroids: Frames) -> float:
    norms = np.einsum("td,td->t", frames, frames)
    return float((_nearest(frames, centroids)[1] + norms).mean(dtype=np.float64))
