"""Smoothed codes: the exact optimum, found fast."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.segmentation.smoothing import smooth

PENALTIES = (0.0, 0.1, 0.5, 1.0, 3.0)


def table(num_frames, num_codes, seed=0):
    return np.random.default_rng(seed).random((num_frames, num_codes)).astype(np.float32)


def objective(distances, path, penalty):
    frames = np.arange(len(path))
    return distances[frames, path].sum(dtype=np.float64) + penalty * np.count_nonzero(np.diff(path))


def frame_codes(codes, ends):
    return np.repeat(codes, np.diff(ends, prepend=0))


def segmental(distances, penalty):
    """The cost of the best segmentation by the published recurrence over segments, exhaustive."""
    sums = np.concatenate([np.zeros((1, distances.shape[1])), distances.cumsum(0, np.float64)])
    costs = [0.0]
    for end in range(1, len(distances) + 1):
        durations = (
            costs[start] + (sums[end] - sums[start]).min() - penalty * (end - start - 1)
            for start in range(end)
        )
        costs.append(min(durations))
    return costs[-1]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("seed", range(5))
def test_no_path_of_codes_is_better(penalty, seed):
    distances = table(6, 3, seed)
    codes, ends = smooth(distances, penalty)
    paths = map(np.array, itertools.product(range(3), repeat=6))
    best = min(objective(distances, path, penalty) for path in paths)
    assert objective(distances, frame_codes(codes, ends), penalty) == pytest.approx(best)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_it_is_the_segmental_dynamic_programme_without_a_longest_duration(penalty):
    distances = table(60, 8)
    codes, ends = smooth(distances, penalty)
    ours = objective(distances, frame_codes(codes, ends), penalty) + penalty * (1 - len(distances))
    assert ours == pytest.approx(segmental(distances, penalty))


def test_without_a_penalty_it_joins_equal_nearest_codes():
    distances = table(500, 4)
    codes, ends = smooth(distances, 0)
    assert np.array_equal(frame_codes(codes, ends), distances.argmin(1))
    assert (np.diff(codes) != 0).all()


def test_segments_never_become_more_as_the_penalty_grows():
    distances = np.round(table(300, 10), 1)  # with ties
    counts = [len(smooth(distances, penalty)[1]) for penalty in np.linspace(0, 5, 60)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 200
    assert counts[-1] < 20
    assert len(smooth(distances, 1e300)[1]) == 1


def test_random_segmentations_are_not_better():
    distances, rng = table(200, 6), np.random.default_rng(1)
    codes, ends = smooth(distances, 0.7)
    best = objective(distances, frame_codes(codes, ends), 0.7)
    for _ in range(100):
        cuts = np.sort(rng.choice(np.arange(1, 200), rng.integers(1, 60), replace=False))
        parts = np.split(distances, cuts)
        path = np.concatenate([np.full(len(part), part.sum(0).argmin()) for part in parts])
        assert best <= objective(distances, path, 0.7) + 1e-9


def test_a_term_common_to_all_codes_changes_nothing():
    distances = table(100, 5)
    shifted = distances + np.arange(100, dtype=np.float32)[:, None]
    assert np.array_equal(smooth(distances, 0.4)[1], smooth(shifted, 0.4)[1])


def test_ends_increase_to_the_number_of_frames():
    codes, ends = smooth(table(50, 4), 0.3)
    assert len(codes) == len(ends)
    assert ends[-1] == 50
    assert (np.diff(ends, prepend=0) > 0).all()


def test_no_frames_have_no_segments():
    codes, ends = smooth(np.zeros((0, 3), np.float32), 1)
    assert len(codes) == len(ends) == 0


def test_hours_of_large_distances_keep_their_precision():
    distances = np.full((100_000, 2), 1e4, np.float32)  # float32 sums would lose a difference of 1
    distances[:50_000, 1] += 1
    distances[50_000:, 0] += 1
    assert smooth(distances, 100)[1].tolist() == [50_000, 100_000]


@pytest.mark.parametrize("penalty", [-1, float("nan"), float("inf")])
def test_a_penalty_that_is_none_is_an_error(penalty):
    with pytest.raises(BudgetError, match=r"--penalty .*expected 0"):
        smooth(table(3, 2), penalty)


def test_distances_must_be_finite():
    with pytest.raises(BudgetError, match="not finite"):
        smooth(np.full((3, 2), np.nan, np.float32), 1)
