"""Batches: every utterance once, within the limits, of like length, in an order of their own."""

import itertools

import numpy as np
import pytest

from fairseq_budget.data.batches import BUCKET_WIDTH, Batches, Limits
from fairseq_budget.errors import BudgetError

pytestmark = pytest.mark.slow


def flat(batches) -> list[int]:
    return list(itertools.chain.from_iterable(batches))


def sizes_of(num_utterances: int, seed: int = 0) -> np.ndarray:
    """Like read speech: 1 to 17 s, most of them long."""
    return (16000 * (1 + 16 * np.random.default_rng(seed).beta(4, 2, num_utterances))).astype(int)


def batches_of(sizes, limits=None, **options) -> Batches:
    by_size = np.argsort(-sizes, kind="stable")
    options = {"seed": 1, **options}
    return Batches(sizes, by_size, limits or Limits(max_tokens=1_400_000), **options)


def listed(batches: Batches, epoch) -> list[list[int]]:
    return [batches.batch(place, epoch) for place in range(len(batches))]


@pytest.mark.parametrize("num_utterances", [1, 2, 7, 100, 3000])
@pytest.mark.parametrize(
    "limits",
    [Limits(1_400_000), Limits(300_000), Limits(1_400_000, 8), Limits(None, 5),
     Limits(1_400_000, None, 8), Limits(9_600_000)],
)  # fmt: skip
@pytest.mark.parametrize("epoch", [None, 1, 2])
def test_every_utterance_comes_once_in_an_epoch(num_utterances, limits, epoch):
    batches = listed(batches_of(sizes_of(num_utterances), limits), epoch)
    assert sorted(flat(batches)) == list(range(num_utterances))
    assert all(batches)


def test_padded_batches_stay_within_max_tokens_and_fill_it():
    sizes = sizes_of(3000)
    made = listed(batches_of(sizes), 3)
    padded = np.array([len(batch) * sizes[batch].max() for batch in made])
    assert padded.max() <= 1_400_000
    assert sizes.sum() / 1_400_000 / len(made) > 0.88


def test_there_are_hardly_more_batches_than_fairseq_makes():
    from fairseq.data.data_utils import batch_by_size

    sizes = sizes_of(3000)
    order = np.argsort(-sizes, kind="stable")
    theirs = batch_by_size(order, sizes.__getitem__, sizes[order], max_tokens=1_400_000)
    assert len(theirs) <= len(batches_of(sizes)) <= 1.04 * len(theirs)


@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_equal_utterances_make_the_batches_of_fairseq(multiple):
    from fairseq.data.data_utils import batch_by_size

    sizes, limits = np.full(103, 64000), Limits(1_000_000, None, multiple)
    theirs = batch_by_size(
        np.arange(103), sizes.__getitem__, sizes, max_tokens=1_000_000,
        required_batch_size_multiple=multiple,
    )  # fmt: skip
    ours = listed(batches_of(sizes, limits), None)
    assert [len(batch) for batch in ours][:6] == [len(batch) for batch in theirs][:6]
    assert sum(map(len, ours)) == 103


def test_mates_are_of_like_length():
    sizes = sizes_of(20_000)
    made = listed(batches_of(sizes), 1)
    spread = np.array([1 - sizes[batch].min() / sizes[batch].max() for batch in made])
    assert np.median(spread) < BUCKET_WIDTH
    assert (spread > 2 * BUCKET_WIDTH).mean() < 0.01  # the last bucket reaches down to rare sizes


def test_long_utterances_count_as_they_are_cropped():
    sizes = np.array([1_000_000, 250_000, 900_000, 100_000])
    batches = batches_of(sizes, Limits(max_tokens=750_000), max_size=250_000)
    assert sorted(batches.batch(0, None)) == [0, 1, 2]
    assert batches.length(0) == 250_000


def test_short_utterances_are_left_out():
    sizes = sizes_of(1000)
    batches = batches_of(sizes, min_size=100_000)
    heard = sorted(flat(listed(batches, 4)))
    assert heard == np.flatnonzero(sizes >= 100_000).tolist()
    assert batches.num_utterances == len(heard)


def test_batches_and_their_order_are_functions_of_seed_and_epoch():
    sizes = sizes_of(2000)
    first, again = listed(batches_of(sizes), 1), listed(batches_of(sizes), 1)
    assert first == again
    other_epoch, other_seed = listed(batches_of(sizes), 2), listed(batches_of(sizes, seed=2), 1)
    for other in (other_epoch, other_seed):
        mates = {frozenset(batch) for batch in first} & {frozenset(batch) for batch in other}
        assert len(mates) < 0.02 * len(first)


def test_unshuffled_batches_are_longest_first():
    sizes = sizes_of(500)
    order = flat(listed(batches_of(sizes), None))
    assert (np.diff(sizes[order]) <= 0).all()


def test_long_and_short_batches_are_mixed_over_the_epoch():
    sizes = sizes_of(5000)
    means = np.array([sizes[batch].mean() for batch in listed(batches_of(sizes), 1)])
    halves = np.array_split(means, 2)
    assert abs(halves[0].mean() / halves[1].mean() - 1) < 0.05


@pytest.mark.parametrize("pad", [False, True])
def test_mean_samples_of_many_batches_are_estimated_well(pad):
    sizes = sizes_of(20_000)
    batches = batches_of(sizes)
    exact = batches.mean_samples(pad=pad, num_batches=len(batches))
    assert batches.mean_samples(pad=pad) == pytest.approx(exact, rel=0.1)


def test_what_cropping_to_equal_lengths_takes_is_at_most_what_batch_mates_differ_by():
    sizes = sizes_of(5000)
    batches = batches_of(sizes)
    kept = sum(sizes[batch].min() * len(batch) for batch in listed(batches, 1))
    lost = batches.update_audio(1, pad=False).lost
    assert lost == pytest.approx(1 - kept / sizes.sum(), abs=0.003)
    assert 0 < lost < BUCKET_WIDTH
    assert batches.update_audio(1, pad=True).lost == 0


def test_the_cost_does_not_grow_with_the_corpus():
    """Sizes are asked for a few hundred times, not once for each utterance."""

    class Counting:
        num_asked = 0

        def __init__(self, array):
            self.array = array

        def __getitem__(self, index):
            self.num_asked += np.size(index)
            return self.array[index]

        def __len__(self):
            return len(self.array)

    asked = []
    for num_utterances in (10_000, 1_000_000):
        sizes = sizes_of(num_utterances)
        by_size = Counting(np.argsort(-sizes))
        batches = Batches(sizes, by_size, Limits(1_400_000), seed=1, max_size=250_000, min_size=400)
        batches.batch(len(batches) // 2, 5)
        asked.append(by_size.num_asked)
    assert asked[1] < 2 * asked[0] < 10_000


def test_a_batch_without_a_limit_or_too_small_for_an_utterance_is_an_error():
    with pytest.raises(BudgetError, match=r"max_tokens=8000 .* utterance of 16000: raise it"):
        batches_of(np.array([100, 16000]), Limits(8000))
    with pytest.raises(BudgetError, match=r"set dataset.max_tokens or dataset.batch_size"):
        batches_of(np.array([16000]), Limits())
