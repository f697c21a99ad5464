"""Time to smooth the codes of 35 s of speech at 100 clusters, on one core.

    python scripts/bench/smoothing.py

Distances are those of frames that stay near one of 100 random centroids for 100 ms on average; each
row is the fastest and the median of several runs. The last row is what any segmentation costs at
least: the nearest centroid of each frame.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from fairseq_budget.console.table import markdown_table
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.parts import single_threaded
from fairseq_budget.segmentation.smoothing import smooth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=35)
    parser.add_argument("--clusters", type=int, default=100)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    frames, model = make_frames(round(args.seconds * FRAME_RATE_HZ), args.clusters, args.dim)
    with single_threaded():
        distances = model.distances(frames)
        rows = [
            timed(
                f"smoothing, penalty {penalty:g}: {len(smooth(distances, penalty)[1])} segments",
                partial(smooth, distances, penalty),
                args.repeats,
            )
            for penalty in (0, 500, 5000)
        ]
        rows.append(timed("distances", lambda: model.distances(frames), args.repeats))
        rows.append(timed("nearest centroids", lambda: model.assign(frames), args.repeats))
    print(markdown_table(rows))


def make_frames(num_frames: int, num_clusters: int, dim: int) -> tuple[np.ndarray, KMeans]:
    rng = np.random.default_rng(0)
    centroids = rng.standard_normal((num_clusters, dim)).astype(np.float32)
    changes = rng.random(num_frames) < 0.2
    codes = rng.integers(0, num_clusters, num_frames)[np.maximum.accumulate(
        np.where(changes, np.arange(num_frames), 0))]  # fmt: skip
    noise = 10 * rng.standard_normal((num_frames, dim)).astype(np.float32)
    return centroids[codes] + noise, KMeans(centroids, {})


def timed(name: str, work: Callable[[], object], repeats: int) -> dict[str, str]:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    return {
        "": name,
        "fastest (ms)": f"{min(times):.1f}",
        "median (ms)": f"{statistics.median(times):.1f}",
    }


if __name__ == "__main__":
    main()
