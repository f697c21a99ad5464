"""What a frozen encoder has heard before is not computed again, and is the same."""

from __future__ import annotations

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.upstream.hubconf import budget_upstream
from fairseq_budget.upstream.state_cache import StateCache
from fairseq_budget.upstream.state_store import MemoryStore
from tests.upstream.test_expert import make_waves


def heard(upstream, waves) -> list[int]:
    """How many utterances the encoder itself computes in each call."""
    counts = []
    upstream.encoder.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
    with torch.no_grad():
        upstream(waves)
    return counts


@pytest.fixture
def upstream(exported):
    return budget_upstream(str(exported)).eval()


def test_states_from_the_cache_are_those_of_a_model_without_one(exported, upstream):
    plain = budget_upstream(str(exported), {"cache_gib": 0}).eval()
    waves = make_waves()
    with torch.no_grad():
        upstream(waves[:3])
        for batch in (waves, waves[::-1], [waves[1], waves[1]], waves[4:5]):
            found, expected = upstream(batch), plain(batch)
            assert found.keys() == expected.keys()
            for state, other in zip(found["hidden_states"], expected["hidden_states"], strict=True):
                torch.testing.assert_close(state, other, atol=1e-5, rtol=1e-4)


def test_only_what_is_new_is_computed_and_twins_once(upstream):
    waves = make_waves()
    assert heard(upstream, [*waves[:3], waves[0].clone()]) == [3]
    assert heard(upstream, waves[1:5])[-1] == 2
    assert sum(heard(upstream, waves[:5])) == 0


def test_with_gradients_or_in_training_nothing_is_taken_from_the_cache(upstream):
    waves = make_waves((1600, 1600))
    upstream(waves)["last_hidden_state"].sum().backward()
    assert upstream.cache.num_bytes == 0
    with torch.no_grad():
        upstream.train()(waves)
    assert upstream.cache.num_bytes == 0


def step(upstream):
    """An update as torch's optimizers make it."""
    with torch.no_grad():
        for parameter in upstream.encoder.parameters():
            parameter.mul_(1.5)


def step_unseen(upstream):
    """An update as fairseq's optimizers make it, in training."""
    upstream.train()(make_waves((1600,)))
    for parameter in upstream.encoder.parameters():
        parameter.data.mul_(1.5)
    upstream.eval()


@pytest.mark.parametrize("change", [step, step_unseen])
def test_states_of_other_weights_are_forgotten(exported, upstream, change):
    plain = budget_upstream(str(exported), {"cache_gib": 0}).eval()
    waves = make_waves((1600, 8000))
    with torch.no_grad():
        before = upstream(waves)["last_hidden_state"]
    change(upstream)
    change(plain)
    with torch.no_grad():
        after, expected = (model(waves)["last_hidden_state"] for model in (upstream, plain))
    torch.testing.assert_close(after, expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(after, before, atol=1e-2)


def test_a_full_cache_keeps_what_it_has_and_the_rest_is_computed():
    store = MemoryStore(max_bytes=2 * 3 * 4 * 4)
    cache, calls = StateCache(torch.nn.Identity(), lambda: store), []

    def compute(wavs):
        calls.append(len(wavs))
        return [torch.stack([wav[0].expand(3, 4) for wav in wavs])] * 2

    waves = [torch.full((8,), float(n)) for n in range(3)]
    for _ in range(2):
        states = cache.hidden_states(waves, [3, 3, 3], compute)
        assert states[1][:, 0, 0].tolist() == [0, 1, 2]
    assert calls == [3, 2]
    assert cache.num_bytes == store.max_bytes


@pytest.mark.parametrize("size", [-1, "much", float("nan")])
def test_a_size_that_is_none_is_named(exported, size):
    with pytest.raises(BudgetError, match=r"cache_gib: .*expected a number of GiB, from 0"):
        budget_upstream(str(exported), {"cache_gib": size})
