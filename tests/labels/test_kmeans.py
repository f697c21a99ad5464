"""A fitted k-means: the nearest centroid is scikit-learn's, and files come back as they were."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.kmeans import KMeans
from tests.synthetic import blobs


def test_the_nearest_centroid_is_that_of_scikit_learn():
    cluster = pytest.importorskip("sklearn.cluster")

    frames = blobs(20_000)
    theirs = cluster.MiniBatchKMeans(12, n_init=1, random_state=0).fit(frames)
    ours = KMeans(theirs.cluster_centers_, {})
    assert np.array_equal(ours.assign(frames), theirs.predict(frames))
    assert ours.inertia(frames) == pytest.approx(-theirs.score(frames) / len(frames), rel=1e-4)


def test_of_equally_near_centroids_the_lowest_is_taken():
    model = KMeans(np.array([[1.0], [-1.0], [1.0]], dtype=np.float32), {})
    frames = np.array([[0.0], [1.0], [-3.0]], dtype=np.float32)
    assert model.assign(frames).tolist() == [0, 0, 1]
    assert model.assign(frames[:0]).tolist() == []


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


def test_distances_are_squared_and_less_the_norm_of_the_frame():
    frames, model = blobs(200), KMeans(blobs(3, seed=9), {})
    expected = ((frames[:, None] - model.centroids) ** 2).sum(2) - (frames**2).sum(1)[:, None]
    assert np.allclose(model.distances(frames), expected, atol=1e-3)
    assert model.distances(frames[:0]).shape == (0, 3)


def test_frames_of_another_feature_are_an_error():
    with pytest.raises(BudgetError, match="frames of 6 values and centroids of 2"):
        KMeans(np.zeros((3, 2), np.float32), {}).assign(blobs(4))


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
