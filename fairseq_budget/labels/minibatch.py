"""Centroids of a sample, by k-means on batches of its frames.

simple_kmeans runs scikit-learn's MiniBatchKMeans (batches of 10,000, the best of 20 k-means++
starts, hundreds of batches until nothing improves). There a centroid is the mean of all frames that
ever fell to it, those of the first, bad assignments included, and two centroids that started in one
cluster stay there. Differs: here half as many centroids again are started, and those go whose
frames lie nearly as close to another one; then come rounds that forget the assignments of the round
before. It reaches a lower inertia, which hangs less on the seed, with a tenth of the batches.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.kmeans import Frames, distance_blocks, nearest, squared_norms

BATCH_FRAMES = 10_000  # simple_kmeans' batch
HEAD_FRAMES_PER_CLUSTER = 10  # that starts are drawn from, if that is more than a batch
SURPLUS = 0.5  # centroids that are started beyond those asked for
NUM_ROUNDS, ROUND_BATCHES = 3, 5
LAST_FRAMES_PER_CLUSTER = 4000  # of a last round, or the whole sample if it is smaller


def fit_kmeans(frames: Frames, num_clusters: int, seed: int) -> Frames:
    """Centroids (K, D) of shuffled frames (T, D) float32; a function of its arguments.

    Raises BudgetError for fewer than two clusters, fewer frames than clusters, or invalid frames.
    """
    _check_sample(frames, num_clusters)
    batches = [frames[i : i + BATCH_FRAMES] for i in range(0, len(frames), BATCH_FRAMES)]
    if len(batches) > 1 and len(batches[-1]) < BATCH_FRAMES // 2:
        del batches[-1]
    turns = itertools.cycle(batches)
    head = frames[: max(BATCH_FRAMES, HEAD_FRAMES_PER_CLUSTER * num_clusters)]
    num_started = min(len(head), round(num_clusters * (1 + SURPLUS)))
    centroids = _plus_plus(head, num_started, np.random.default_rng(seed))
    centroids = _round(itertools.islice(turns, ROUND_BATCHES), centroids)
    centroids = _prune(head, centroids, num_clusters)
    last = min(len(batches), LAST_FRAMES_PER_CLUSTER * num_clusters // BATCH_FRAMES)
    for num_batches in [ROUND_BATCHES] * NUM_ROUNDS + [max(last, ROUND_BATCHES)]:
        centroids = _round(itertools.islice(turns, num_batches), centroids)
    return np.ascontiguousarray(centroids)


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


def _plus_plus(frames: Frames, number: int, rng: np.random.Generator) -> Frames:
    """Greedy k-means++, as scikit-learn's: the best of a few frames that are drawn by distance."""
    norms, table = squared_norms(frames), np.ascontiguousarray(-2 * frames.T)
    num_drawn = 2 + int(np.log(number))
    drawn, distances = rng.integers(len(frames), size=1), np.full(len(frames), np.inf, np.float32)
    chosen = []
    while True:
        theirs = frames[drawn] @ table + norms + norms[drawn, None]  # (drawn, T)
        theirs = np.minimum(theirs.clip(min=0), distances)
        best = theirs.sum(axis=1, dtype=np.float64).argmin()
        chosen.append(drawn[best])
        if len(chosen) == number:
            return frames[chosen]
        distances = theirs[best]
        ends = np.cumsum(distances, dtype=np.float64)
        drawn = np.searchsorted(ends, rng.random(num_drawn) * ends[-1])


def _prune(frames: Frames, centroids: Frames, number: int) -> Frames:
    """Take away, one by one, the centroid without which squared distances grow least."""
    kept = np.arange(len(centroids))
    ids, distances = _two_nearest(frames, centroids)
    while len(kept) > number:
        growth = np.bincount(ids[:, 0], distances[:, 1] - distances[:, 0], len(centroids))
        least = kept[growth[kept].argmin()]
        kept = kept[kept != least]
        moved = (ids == least).any(axis=1)
        nearest_kept, distances[moved] = _two_nearest(frames[moved], centroids[kept])
        ids[moved] = kept[nearest_kept]
    return centroids[kept]


def _two_nearest(frames: Frames, centroids: Frames) -> tuple[NDArray[np.int64], Frames]:
    """As `nearest`, of the nearest centroid and the next: (T, 2) each."""
    ids = np.empty((len(frames), 2), np.int64)
    found = np.empty((len(frames), 2), np.float32)
    for start, distances in distance_blocks(frames, centroids):
        rows = np.arange(len(distances))
        for place in (0, 1):
            best = distances.argmin(axis=1)
            ids[start + rows, place] = best
            found[start + rows, place] = distances[rows, best]
            distances[rows, best] = np.inf
    return ids, found


def _round(batches: Iterable[Frames], centroids: Frames) -> Frames:
    """After each batch a centroid is the mean of all frames that fell to it in this round."""
    centroids, counts = centroids.copy(), np.zeros(len(centroids), np.int64)
    sums = np.zeros(centroids.shape)
    for batch in batches:
        ids = nearest(batch, centroids)[0]
        order = ids.argsort(kind="stable")
        there, starts = np.unique(ids[order], return_index=True)
        sums[there] += np.add.reduceat(batch[order], starts, axis=0)
        counts += np.bincount(ids, minlength=len(counts))
        centroids[there] = sums[there] / counts[there, None]
    return centroids
