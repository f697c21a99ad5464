"""A random order without a list."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from fairseq_budget.data.shuffle import MAX_LISTED, shuffled

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1023, 1024, 1025, 4097])
def test_every_thing_stands_at_one_place(size):
    order = shuffled(np.arange(size), size, 1, 2)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(size))


def test_a_place_alone_holds_what_it_holds_among_others():
    order = shuffled(np.arange(1000), 1000, 7)
    alone = [int(shuffled(np.array([place]), 1000, 7)[0]) for place in (0, 1, 500, 999)]
    assert alone == order[[0, 1, 500, 999]].tolist()


def test_keys_name_the_order():
    orders = [shuffled(np.arange(500), 500, *keys) for keys in ((1, 1), (1, 2), (2, 1))]
    for one, other in itertools.combinations(orders, 2):
        assert (one == other).sum() < 10  # 1 on average
    assert np.array_equal(orders[0], shuffled(np.arange(500), 500, 1, 1))


def test_large_orders_stay_within_range_and_repeat_nothing():
    order = shuffled(np.arange(100_000), 12_000_000, 3)
    assert 0 <= order.min() <= order.max() < 12_000_000
    assert len(np.unique(order)) == 100_000


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_every_order_of_few_things_is_equally_likely(size):
    num_orders = 12_000
    orders = (tuple(shuffled(np.arange(size), size, 1, key).tolist()) for key in range(num_orders))
    counts = Counter(orders)
    expected = num_orders / math.factorial(size)
    every = itertools.permutations(range(size))
    chi_squared = sum((counts[order] - expected) ** 2 / expected for order in every)
    degrees = math.factorial(size) - 1
    assert chi_squared < degrees + 4 * math.sqrt(2 * degrees)


@pytest.mark.parametrize("size", [10, MAX_LISTED + 1, 5000])
def test_everything_comes_to_every_place_equally_often(size):
    """Ten things each, chosen evenly, and where they stand, in tenths of the order."""
    chosen, num_orders = np.linspace(0, size - 1, 10).astype(int), 2000
    counts = np.zeros((10, 10))
    for key in range(num_orders):
        counts[np.arange(10), shuffled(chosen, size, key) * 10 // size] += 1
    deviations = (counts - num_orders / 10) / math.sqrt(num_orders / 10)
    assert np.abs(deviations).max() < 4.5
    assert deviations.std() < 1.2


def test_neighbours_do_not_stay_neighbours():
    order = shuffled(np.arange(10_000), 10_000, 5)
    assert (np.abs(np.diff(order)) == 1).sum() < 12  # 2 on average
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05
