"""Fitting k-means: as good as scikit-learn on any sample, and the same on any machine."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.kmeans import inertia
from fairseq_budget.labels.minibatch import fit_kmeans
from tests.synthetic import blobs


def far_away() -> np.ndarray:
    frames = blobs(8000)
    frames[::100] += 1000
    return frames


SAMPLES = {
    "more clusters than asked for": lambda: blobs(8000, num_centres=40),
    "fewer clusters than asked for": lambda: blobs(8000),
    "one cluster far away": far_away,
    "every frame twenty times": lambda: blobs(400).repeat(20, axis=0),
    "hardly more frames than clusters": lambda: blobs(35),
    "no clusters": lambda: np.exp(blobs(8000, num_centres=1) / 3),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_inertia_is_no_worse_than_with_the_settings_of_simple_kmeans(kind):
    cluster = pytest.importorskip("sklearn.cluster")
    frames = np.random.default_rng(0).permutation(SAMPLES[kind]())
    theirs = cluster.MiniBatchKMeans(
        30, max_iter=100, batch_size=10_000, tol=0.0, max_no_improvement=100, n_init=20,
        reassignment_ratio=0.0, compute_labels=False, random_state=0,
    ).fit(frames)  # fmt: skip
    for seed in range(3):
        ours = inertia(frames, fit_kmeans(frames, 30, seed))
        assert ours <= 1.01 * inertia(frames, theirs.cluster_centers_)


def test_a_fit_is_a_function_of_frames_and_seed():
    frames = blobs(3000)
    first, again, other = (fit_kmeans(frames, 5, seed) for seed in (1, 1, 2))
    assert first.dtype == np.float32
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_fit_does_not_depend_on_the_number_of_threads(tmp_path):
    np.save(tmp_path / "frames.npy", blobs(30_000))
    code = f"""
import numpy as np
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.minibatch import fit_kmeans
from fairseq_budget.labels.parts import single_threaded
with single_threaded():
    print(KMeans(fit_kmeans(np.load({str(tmp_path / "frames.npy")!r}), 20, 0), {{}}).sha256)
"""
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code], env={"OMP_NUM_THREADS": threads}, check=True,
            capture_output=True, text=True,
        ).stdout
        for threads in ("1", "2")
    }  # fmt: skip
    assert len(hashes) == 1


def test_identical_frames_are_fitted_without_a_warning():
    centroids = fit_kmeans(np.ones((500, 3), np.float32), 4, 0)
    assert np.array_equal(centroids, np.ones((4, 3), np.float32))


@pytest.mark.parametrize(
    ("frames", "num_clusters", "match"),
    [
        (blobs(50), 1, "fewer than 2"),
        (blobs(50), 51, "50 frames for 51 clusters"),
        (np.full((50, 2), np.nan, np.float32), 3, "not finite"),
    ],
)
def test_a_sample_that_will_not_do_is_an_error(frames, num_clusters, match):
    with pytest.raises(BudgetError, match=match):
        fit_kmeans(frames, num_clusters, 0)
