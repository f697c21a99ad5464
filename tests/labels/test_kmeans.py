"""K-means: equal to scikit-learn where it should be, and better where it may."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.kmeans import KMeans, fit_kmeans

pytestmark = pytest.mark.slow

pytest.importorskip("sklearn")


def blobs(num_frames: int, num_centres: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = 5 * rng.standard_normal((num_centres, 6))
    which = rng.integers(num_centres, size=num_frames)
    return (centres[which] + rng.standard_normal((num_frames, 6))).astype(np.float32)


def test_the_nearest_centroid_is_that_of_scikit_learn():
    from sklearn.cluster import MiniBatchKMeans

    frames = blobs(20_000)
    theirs = MiniBatchKMeans(12, n_init=1, random_state=0).fit(frames)
    ours = KMeans(theirs.cluster_centers_, {})
    assert np.array_equal(ours.assign(frames), theirs.predict(frames))
    assert ours.inertia(frames) == pytest.approx(-theirs.score(frames) / len(frames), rel=1e-4)


def test_fit_and_assignment_by_hand():
    frames = np.array([[0.0], [0.2], [10.0], [10.4]] * 5, dtype=np.float32)
    centroids = np.sort(fit_kmeans(frames, 2, seed=0), axis=0)
    np.testing.assert_allclose(centroids, [[0.1], [10.2]], atol=1e-5)
    model = KMeans(centroids, {})
    assert model.assign(frames[:4]).tolist() == [0, 0, 1, 1]
    assert model.inertia(frames) == pytest.approx((0.01 + 0.01 + 0.04 + 0.04) / 4, rel=1e-3)


def test_of_equally_near_centroids_the_lowest_is_taken():
    model = KMeans(np.array([[1.0], [-1.0], [1.0]], dtype=np.float32), {})
    frames = np.array([[0.0], [1.0], [-3.0]], dtype=np.float32)
    assert model.assign(frames).tolist() == [0, 0, 1]
    assert model.assign(frames[:0]).tolist() == []


def test_inertia_is_no_worse_than_with_the_settings_of_simple_kmeans():
    from sklearn.cluster import MiniBatchKMeans

    frames = blobs(60_000, num_centres=60)
    theirs = MiniBatchKMeans(
        40, max_iter=100, batch_size=10_000, tol=0.0, max_no_improvement=100, n_init=20,
        reassignment_ratio=0.0, compute_labels=False, random_state=0,
    ).fit(frames)  # fmt: skip
    ours = KMeans(fit_kmeans(frames, 40, seed=0), {})
    assert ours.inertia(frames) < 1.01 * KMeans(theirs.cluster_centers_, {}).inertia(frames)


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
from fairseq_budget.labels.kmeans import KMeans, fit_kmeans
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


def test_a_model_comes_back_from_its_file_and_equal_models_have_equal_bytes(tmp_path):
    model = KMeans(blobs(5), {"seed": 1, "feature": {"kind": "mfcc"}})
    for name in ("a", "b"):
        model.save(tmp_path / name)
    loaded = KMeans.load(tmp_path / "a")
    assert np.array_equal(loaded.centroids, model.centroids)
    assert (loaded.description, loaded.sha256) == (model.description, model.sha256)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_missing_model_is_an_error_that_says_what_to_run(tmp_path):
    with pytest.raises(BudgetError, match=r"shards never fit; run `budget-labels fit"):
        KMeans.load(tmp_path / "kmeans.safetensors")


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_without_centroids_is_an_error(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(BudgetError, match="holds no centroids"):
        KMeans.load(tmp_path / "x")


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


def test_distances_are_squared_and_less_the_norm_of_the_frame():
    frames, model = blobs(200), KMeans(blobs(3, seed=9), {})
    expected = ((frames[:, None] - model.centroids) ** 2).sum(2) - (frames**2).sum(1)[:, None]
    assert np.allclose(model.distances(frames), expected, atol=1e-3)
    assert model.distances(frames[:0]).shape == (0, 3)


def test_frames_of_another_feature_are_an_error():
    with pytest.raises(BudgetError, match="frames of 6 values and centroids of 2"):
        KMeans(np.zeros((3, 2), np.float32), {}).assign(blobs(4))


def test_identical_frames_are_fitted_without_a_warning():
    centroids = fit_kmeans(np.ones((500, 3), np.float32), 4, 0)
    assert np.array_equal(centroids, np.ones((4, 3), np.float32))


@pytest.mark.parametrize(
    ("centroids", "made"),
    [
        (blobs(5)[0], {}),
        (np.full((3, 2), np.nan, np.float32), {}),
        (blobs(5), {"rate": "50"}),
        (blobs(5), {"feature": "mfcc"}),
        (blobs(5), {"teacher_sha256": 5}),
    ],
)
def test_centroids_of_another_kind_are_an_error(tmp_path, centroids, made):
    KMeans(centroids, made).save(tmp_path / "a")
    with pytest.raises(BudgetError, match="holds no centroids"):
        KMeans.load(tmp_path / "a")
