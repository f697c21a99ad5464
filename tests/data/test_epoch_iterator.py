"""The order of batches, as the trainer sees it: over epochs, GPUs, workers and interruptions."""

import itertools

import numpy as np
import pytest
import torch

from fairseq_budget.data.batches import Batches, Limits

pytestmark = pytest.mark.fairseq

SIZES = np.random.default_rng(3).integers(16000, 64000, 203)


def flat(batches):
    return list(itertools.chain.from_iterable(batches))


class Numbers(torch.utils.data.Dataset):
    """A dataset whose items are their indices."""

    epoch = 1

    def __len__(self):
        return len(SIZES)

    def __getitem__(self, index):
        return int(index)

    def collater(self, samples):
        return samples

    def set_epoch(self, epoch):
        self.epoch = epoch

    def filler(self, batch):
        assert batch
        return []


def iterator(max_tokens=256_000, **options):
    from fairseq_budget.data.epoch_iterator import EpochBatches

    by_size = np.argsort(-SIZES, kind="stable")
    batches = Batches(SIZES, by_size, Limits(max_tokens), seed=1)
    return EpochBatches(Numbers(), batches, **options)


def test_a_manifest_that_was_edited_is_told_even_where_it_has_as_many_batches(caplog):
    saved = iterator(corpus_hash="a").state_dict()
    iterator(corpus_hash="a").load_state_dict(saved)
    iterator(corpus_hash="b").load_state_dict({k: v for k, v in saved.items() if k != "corpus"})
    assert not caplog.records  # nor of checkpoints of earlier versions
    iterator(corpus_hash="b").load_state_dict(saved)
    assert "the training manifest is not the one" in caplog.text


def test_epochs_follow_each_other_and_hold_every_utterance_once():
    own = iterator()
    epochs = []
    for epoch in (1, 2, 3):
        assert own.next_epoch_idx == epoch
        current = own.next_epoch_itr()
        assert own.dataset.epoch == epoch
        assert not own.end_of_epoch()
        epochs.append(list(current))
        assert own.end_of_epoch()
        assert len(epochs[-1]) == len(own)
        assert sorted(flat(epochs[-1])) == list(range(len(SIZES)))
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("num_workers", [2, 4])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on few cores
@pytest.mark.parametrize("buffer_size", [0, 10])
def test_loader_workers_and_buffers_change_nothing(num_workers, buffer_size):
    own, plain = iterator(num_workers=num_workers, buffer_size=buffer_size), iterator()
    for _ in range(2):
        assert list(own.next_epoch_itr()) == list(plain.next_epoch_itr())


@pytest.mark.parametrize("taken", [0, 1, 17])
def test_a_resumed_run_sees_exactly_the_batches_that_were_left(taken):
    whole = list(iterator().next_epoch_itr())
    stopped = iterator()
    list(itertools.islice(stopped.next_epoch_itr(), taken))
    state = stopped.state_dict()
    assert state["iterations_in_epoch"] == taken
    resumed = iterator(epoch=state["epoch"])
    resumed.load_state_dict(state)
    assert resumed.next_epoch_idx == 1
    assert resumed.iterations_in_epoch == taken
    rest = resumed.next_epoch_itr()
    assert len(rest) == len(whole) - taken
    assert list(rest) == whole[taken:]
    assert resumed.state_dict() == {**state, "epoch": 2, "iterations_in_epoch": 0, "position": 0}
    unbroken = iterator(epoch=2)
    assert list(resumed.next_epoch_itr()) == list(unbroken.next_epoch_itr())


def test_a_run_may_be_stopped_and_resumed_twice():
    whole = list(iterator().next_epoch_itr())
    seen, state = [], None
    for _ in range(3):
        own = iterator()
        if state:
            own.load_state_dict(state)
        seen += itertools.islice(own.next_epoch_itr(), 7)
        state = own.state_dict()
    assert seen == whole[:21]
    assert state["position"] == 21


@pytest.mark.parametrize("num_shards", [2, 3, 8])
def test_every_number_of_gpus_sees_the_same_global_order(num_shards):
    whole = list(iterator().next_epoch_itr())
    shards = [
        list(iterator(num_shards=num_shards, shard_id=shard).next_epoch_itr())
        for shard in range(num_shards)
    ]
    assert len({len(shard) for shard in shards}) == 1
    rounds = [batch for group in zip(*shards, strict=True) for batch in group]
    assert rounds[: len(whole)] == whole
    assert all(batch == [] for batch in rounds[len(whole) :])


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (4, 3)])
def test_on_another_number_of_gpus_every_batch_that_was_left_is_seen_once(before, after):
    whole = list(iterator().next_epoch_itr())
    own = iterator(num_shards=before)
    list(itertools.islice(own.next_epoch_itr(), 5))
    state = own.state_dict()
    assert state["position"] == 5 * before
    rest = []
    for shard in range(after):
        resumed = iterator(num_shards=after, shard_id=shard)
        resumed.load_state_dict(state)
        rest.append(list(resumed.next_epoch_itr()))
    rounds = [batch for group in zip(*rest, strict=True) for batch in group if batch]
    assert rounds == whole[5 * before :]


@pytest.mark.parametrize("update_freq", [1, 2, 3, 4])
def test_another_update_freq_after_an_interruption_loses_no_batch(update_freq):
    from fairseq.data.iterators import GroupedIterator

    whole = list(iterator().next_epoch_itr())
    own = iterator()
    list(itertools.islice(own.next_epoch_itr(), 5))
    resumed = iterator()
    resumed.load_state_dict(own.state_dict())
    updates = list(GroupedIterator(resumed.next_epoch_itr(), update_freq))
    assert flat(updates) == whole[5:]
    assert resumed.end_of_epoch()


@pytest.mark.parametrize("max_tokens", [128_000, 512_000])
def test_with_other_batches_a_resumed_run_goes_on_at_the_same_share_of_the_epoch(
    max_tokens, caplog
):
    own, other = iterator(), iterator(max_tokens)
    current = own.next_epoch_itr()
    while 2 * current.n < len(own):
        next(current)
    other.load_state_dict(own.state_dict())
    assert other.epoch == 1
    assert other.position == pytest.approx(len(other.batches) / 2, abs=2)
    assert f"{len(other.batches)} batches in place of {len(own.batches)}" in caplog.text


def test_the_end_of_an_epoch_is_saved_as_the_beginning_of_the_next():
    own = iterator()
    list(own.next_epoch_itr())
    state = own.state_dict()
    assert (state["epoch"], state["position"], state["iterations_in_epoch"]) == (2, 0, 0)


def test_a_checkpoint_of_the_stock_iterator_is_resumed_by_its_iterations():
    own = iterator(num_shards=2)
    own.load_state_dict({"version": 2, "epoch": 3, "iterations_in_epoch": 4, "shuffle": True})
    assert (own.epoch, own.position) == (3, 8)


def test_without_shuffling_the_longest_come_first():
    order = flat(iterator().next_epoch_itr(shuffle=False))
    assert (np.diff(SIZES[order]) <= 0).all()


def test_waiting_for_data_is_timed():
    import time

    own = iterator()
    own.dataset.collater = own._loader.collate_fn = lambda samples: time.sleep(0.02) or samples
    current = own.next_epoch_itr()
    next(current)
    next(current)
    assert 0.04 <= own.waited_s < 0.5


class Threads(Numbers):
    """A dataset whose items are the most threads that any library of the worker would use."""

    def __getitem__(self, index):
        import threadpoolctl

        return max(library["num_threads"] for library in threadpoolctl.threadpool_info())


def test_a_loader_worker_uses_one_thread():
    from fairseq_budget.data.epoch_iterator import EpochBatches

    by_size = np.argsort(-SIZES, kind="stable")
    batches = Batches(SIZES, by_size, Limits(256_000), seed=1)
    own = EpochBatches(Threads(), batches, num_workers=1)
    assert set(next(own.next_epoch_itr())) == {1}


def test_default_workers_leave_a_core_and_are_shared_by_gpus(monkeypatch):
    from fairseq_budget.data.epoch_iterator import default_workers

    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for cores, expected in ((1, 1), (2, 1), (8, 3), (64, 8)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, n=cores: set(range(n)))
        assert default_workers(2) == expected
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(4)))
    assert default_workers(1) == 3
