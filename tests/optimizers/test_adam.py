"""fairseq's Adam in one kernel: the same numbers, the same state, under the same name."""

import copy

import pytest
import torch

pytestmark = pytest.mark.fairseq

OPTIONS = {"lr": 0.01, "betas": (0.9, 0.98), "eps": 1e-3, "weight_decay": 0.1}


def layers() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.ModuleList(torch.nn.Linear(5, 5) for _ in range(3))


def update(model: torch.nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    """A step in which, as with layer drop, some layers have no gradient."""
    generator = torch.Generator().manual_seed(number)
    x = torch.randn(16, 5, generator=generator)
    for layer, keep in zip(model, torch.rand(3, generator=generator) < 0.7, strict=True):
        x = layer(x).tanh() if keep else x
    optimizer.zero_grad()
    if x.requires_grad:
        x.square().mean().backward()
    optimizer.step()


def assert_same(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-7, rtol=1e-5)


def test_it_makes_fairseqs_steps_though_layers_are_skipped():
    from fairseq.optim.adam import Adam

    from fairseq_budget.optimizers.adam import FusedAdam

    ours, theirs = layers(), layers()
    fused, plain = FusedAdam(ours.parameters(), **OPTIONS), Adam(theirs.parameters(), **OPTIONS)
    for number in range(40):
        update(ours, fused, number)
        update(theirs, plain, number)
        assert_same(ours, theirs)
    steps = {state["step"] for state in fused.state.values()}
    assert len(steps) > 1


@pytest.mark.parametrize("begins_with_ours", [True, False])
def test_either_goes_on_from_the_others_state(begins_with_ours):
    from fairseq.optim.adam import Adam

    from fairseq_budget.optimizers.adam import FusedAdam

    kinds = (FusedAdam, Adam) if begins_with_ours else (Adam, FusedAdam)
    model = layers()
    first = kinds[0](model.parameters(), **OPTIONS)
    for number in range(10):
        update(model, first, number)
    other = copy.deepcopy(model)
    second = kinds[1](other.parameters(), **OPTIONS)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for number in range(10, 20):
        update(model, first, number)
        update(other, second, number)
    assert_same(model, other)


def test_presets_get_it_under_fairseqs_name():
    from fairseq import optim

    from fairseq_budget.optimizers.adam import FusedAdam
    from tests.examples.test_presets import compose

    cfg = compose("budget_tera_demo")
    assert cfg.optimizer._name == "adam"
    built = optim.build_optimizer(cfg.optimizer, list(layers().parameters()))
    assert type(built.optimizer) is FusedAdam
    # or fairseq's trainer would refuse to go on from a checkpoint of before, and the other way
    assert type(built).__name__ == optim.adam.FairseqAdam.__name__
    cfg.optimizer.use_old_adam = True
    assert type(optim.build_optimizer(cfg.optimizer, list(layers().parameters())).optimizer) is (
        optim.adam.Adam
    )


def test_half_precision_parameters_are_left_to_fairseq():
    from fairseq.optim.adam import Adam

    from fairseq_budget.optimizers.adam import FusedAdam

    ours, theirs = layers().bfloat16(), layers().bfloat16()
    fused, plain = FusedAdam(ours.parameters(), **OPTIONS), Adam(theirs.parameters(), **OPTIONS)
    for model, optimizer in ((ours, fused), (theirs, plain)):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))


def test_a_bfloat16_run_goes_on_with_the_same_numbers():
    from tests.examples.test_presets import compose
    from tests.optimizers.test_budget_scaled_adam import Training, network

    cfg = compose("budget_tera_demo", "common.bf16=true")
    whole = Training(cfg, network(torch.bfloat16))
    whole.updates(range(5))
    weights = copy.deepcopy(whole.model.state_dict())
    state = copy.deepcopy(whole.optimizer.state_dict())
    whole.updates(range(5, 10))
    resumed = Training(cfg, network(torch.bfloat16))
    resumed.model.load_state_dict(weights)
    resumed.optimizer.load_state_dict(state)
    resumed.schedule.step_update(5)
    resumed.updates(range(5, 10))
    for p, q in zip(whole.float32_params, resumed.float32_params, strict=True):
        assert torch.equal(p, q)
