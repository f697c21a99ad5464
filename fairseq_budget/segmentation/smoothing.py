"""Smoothed codes: the segmentation that dynamic programming finds, exactly.

"Towards Unsupervised Phone and Word Segmentation using Self-Supervised Vector-Quantized Neural
Networks" (Kamper and van Niekerk, 2021) minimises over segmentations the squared
distances of frames to the code of their segment plus a penalty -lambda (duration - 1) per segment,
by dynamic programming over segments of up to 15 frames. Those penalties sum to lambda times the
number of segments, less a constant: a Potts model over frames,

    sum_t d(t, u_t) + lambda * number of t with u_t != u_{t-1}.

Differs: its exact solution by the Viterbi algorithm, in O(T K) and without a longest duration.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.errors import BudgetError

Codes = NDArray[np.int64]
Ends = NDArray[np.int64]
Distances = NDArray[np.float32]


def smooth(distances: Distances, penalty: float) -> tuple[Codes, Ends]:
    """The best segmentation of one utterance: the code of each segment, and the frame it ends at.

    `distances` (T, K) float32: each frame's distance to each centroid; a term that is the same for
    all centroids changes nothing. `penalty` is what a change of code costs, in the same unit: with
    0 equal nearest centroids are joined, and segments never become more as it grows. Sums are in
    float64. Raises BudgetError for a negative or infinite penalty, or distances that are not finite
    numbers.

    >>> codes, ends = smooth(np.array([[0, 2], [1, 0], [0, 2], [9, 0]], np.float32), 0.6)
    >>> codes.tolist(), ends.tolist()
    ([0, 1], [3, 4])
    """
    check_penalty(penalty)
    if not np.isfinite(distances).all():
        raise BudgetError("distances to centroids are not finite; is the checkpoint sound?")
    if not len(distances):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    path = _best_path(distances, penalty)
    ends = np.append(np.flatnonzero(np.diff(path)) + 1, len(path))
    return path[ends - 1], ends


def check_penalty(penalty: float) -> None:
    """Raise BudgetError for a penalty that is negative or no finite number."""
    if not 0 <= penalty < np.inf:
        raise BudgetError(f"--penalty {penalty}: expected 0 (every change of code) or more")


def _best_path(distances: Distances, penalty: float) -> Codes:
    """The code of each frame (T,): v_t(k) = d(t, k) + min(v_{t-1}(k) - min v_{t-1}, penalty)."""
    num_frames, num_codes = distances.shape
    best = np.empty(num_frames, dtype=np.int64)
    stays = np.empty((num_frames, num_codes), dtype=bool)
    costs = np.zeros(num_codes)
    for frame, distance in enumerate(distances.astype(np.float64)):
        best[frame] = costs.argmin()  # of the frame before
        costs -= costs[best[frame]]
        np.less_equal(costs, penalty, out=stays[frame])
        np.minimum(costs, penalty, out=costs)
        costs += distance
    path = np.empty(num_frames, dtype=np.int64)
    path[-1] = costs.argmin()
    for frame in range(num_frames - 1, 0, -1):
        code = path[frame]
        path[frame - 1] = code if stays[frame, code] else best[frame]
    return path
