"""A fitted k-means: its file, and the nearest centroid of any frame."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.structured import Range, check_entries, parse_json

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
        return nearest(frames, self.centroids)[0]

    def distances(self, frames: Frames) -> Frames:
        """Squared distances to all centroids, less the frame's own norm: (T, D) -> (T, K)."""
        self._check(frames)
        none = np.zeros((0, len(self.centroids)), np.float32)
        return np.concatenate(
            [none, *(block for _, block in distance_blocks(frames, self.centroids))]
        )

    def inertia(self, frames: Frames) -> float:
        """Mean squared distance of the frames (T, D) to their nearest centroids."""
        return inertia(frames, self.centroids)

    def _check(self, frames: Frames) -> None:
        if frames.shape[1] != self.centroids.shape[1]:
            raise BudgetError(
                f"frames of {frames.shape[1]} values and centroids of {self.centroids.shape[1]}: "
                "the centroids were fitted on another feature; run `budget-labels fit` again"
            )


def nearest(frames: Frames, centroids: Frames) -> tuple[NDArray[np.int64], Frames]:
    """Index of, and squared distance to, the nearest centroid, less the frame's own norm: (T,)."""
    ids, distances = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for _, distance in distance_blocks(frames, centroids):
        ids.append(distance.argmin(axis=1))  # numpy's promises the first of equals
        distances.append(distance[np.arange(len(distance)), ids[-1]])
    return np.concatenate(ids), np.concatenate(distances)


def distance_blocks(frames: Frames, centroids: Frames) -> Iterator[tuple[int, Frames]]:
    """First frame and squared distances, less the frame's own norm, of (up to ASSIGN_FRAMES, K)."""
    table = np.ascontiguousarray(-2 * centroids.T)
    norms = (centroids.astype(np.float64) ** 2).sum(1).astype(np.float32)
    for start in range(0, len(frames), ASSIGN_FRAMES):
        distance = frames[start : start + ASSIGN_FRAMES] @ table
        distance += norms
        yield start, distance


def squared_norms(frames: Frames) -> Frames:
    """(T, D) -> (T,)."""
    return np.einsum("td,td->t", frames, frames)


def inertia(frames: Frames, centroids: Frames) -> float:
    """Mean squared distance of the frames (T, D) to their nearest centroids (K, D)."""
    distances = nearest(frames, centroids)[1] + squared_norms(frames)
    return float(distances.mean(dtype=np.float64))
