"""ScaledAdam and Eden under fairseq: by name, in all precisions, resumed, and refused."""

import copy
import re
import shutil

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.optim.eden import Eden
from fairseq_budget.optim.scaled_adam import ScaledAdam
from tests.conftest import run, train_command

pytestmark = pytest.mark.fairseq

# A preset made for Adam, switched over.
SWITCH = [
    "optimizer._name=budget_scaled_adam", "~optimizer.adam_betas", "~optimizer.adam_eps",
    "~optimizer.weight_decay", "optimization.clip_norm=0", "optimization.lr=[0.045]",
    "lr_scheduler._name=budget_eden", "~lr_scheduler.total_num_update",
    "~lr_scheduler.end_learning_rate",
]  # fmt: skip
HALF = {
    "bf16": (torch.bfloat16, ["common.bf16=true"]),
    "fp16": (torch.float16, ["common.fp16=true", "common.fp16_no_flatten_grads=true"]),
}


def config(*overrides: str):
    from tests.examples.test_presets import compose

    return compose("budget_tera_demo", *SWITCH, *overrides)


class Training:
    """fairseq's optimizer and schedule on a small network, driven as its trainer drives them."""

    def __init__(self, cfg, model: torch.nn.Module) -> None:
        from fairseq import optim
        from fairseq.optim.lr_scheduler import build_lr_scheduler

        self.model, params = model, list(model.parameters())
        if cfg.common.fp16 or cfg.common.bf16:
            self.optimizer = optim.FP16Optimizer.build_optimizer(cfg, params)
        else:
            self.optimizer = optim.build_optimizer(cfg.optimizer, params)
        self.schedule = build_lr_scheduler(cfg.lr_scheduler, self.optimizer)
        self.schedule.step_update(0)

    def updates(self, numbers: range) -> float:
        for n in numbers:
            self.optimizer.zero_grad()
            loss = loss_of(self.model, n)
            self.optimizer.backward(loss)
            self.optimizer.multiply_grads(1 / 64)
            self.optimizer.clip_grad_norm(0)
            self.optimizer.step()
            self.schedule.step_update(n + 1)
        return loss.item()

    @property
    def float32_params(self) -> list[torch.Tensor]:
        return list(self.optimizer.optimizer.param_groups[0]["params"])


def network(dtype=torch.float32) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).to(
        dtype
    )


def loss_of(model: torch.nn.Module, update: int) -> torch.Tensor:
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(update))
    x = x.to(next(model.parameters()).dtype)
    return (model(x)[:, 0] - x[:, 0]).float().square().sum()


def test_float32_training_equals_a_plain_loop():
    cfg = config("lr_scheduler.warmup_updates=5")
    ours = network()
    training = Training(cfg, ours)
    training.updates(range(30))
    plain = network()
    optimizer, eden = ScaledAdam(plain.parameters(), eps=1e-12), Eden(warmup_updates=5)
    for n in range(30):
        optimizer.param_groups[0]["lr"] = 0.045 * eden.factor(n + 1, 0)
        optimizer.zero_grad()
        (loss_of(plain, n) / 64).backward()
        optimizer.step()
    for p, q in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("precision", HALF)
def test_half_precision_follows_float32(precision):
    dtype, overrides = HALF[precision]
    half = Training(config(*overrides, "lr_scheduler.warmup_updates=5"), network(dtype))
    whole = Training(config("lr_scheduler.warmup_updates=5"), network())
    first = half.updates(range(1))
    assert half.updates(range(1, 60)) < first / 3
    whole.updates(range(60))
    for p, q in zip(half.float32_params, whole.float32_params, strict=True):
        assert p.dtype == torch.float32
        assert (p - q).norm() < 0.1 * q.norm()


@pytest.mark.parametrize("precision", HALF)
def test_half_precision_resumes_with_its_float32_parameters(precision):
    dtype, overrides = HALF[precision]
    cfg = config(*overrides)
    training = Training(cfg, network(dtype))
    training.updates(range(7))
    model, state = copy.deepcopy(training.model), copy.deepcopy(training.optimizer.state_dict())
    training.updates(range(7, 20))
    resumed = Training(cfg, model)
    resumed.optimizer.load_state_dict(state)
    resumed.schedule.step_update(7)
    resumed.updates(range(7, 20))
    for p, q in zip(training.float32_params, resumed.float32_params, strict=True):
        assert torch.equal(p, q)
        assert not torch.equal(p, p.to(dtype).float())  # more than the model itself holds


def test_a_gradient_that_overflows_float16_is_skipped_and_the_run_goes_on():
    training = Training(config(*HALF["fp16"][1]), network(torch.float16))
    before = [p.clone() for p in training.float32_params]
    training.optimizer.backward(loss_of(training.model, 0) * 1e6)
    training.optimizer.multiply_grads(1 / 64)
    with pytest.raises(OverflowError):  # which fairseq's trainer catches
        training.optimizer.clip_grad_norm(0)
    training.optimizer.zero_grad()
    assert all(map(torch.equal, training.float32_params, before))
    training.updates(range(3))
    assert all(p.isfinite().all() for p in training.float32_params)


@pytest.mark.parametrize(
    "wrong",
    [
        "optimization.clip_norm=10",
        "common.amp=true",
        "common.fp16=true",
        "common.memory_efficient_fp16=true",
        "common.memory_efficient_bf16=true",
        "optimization.use_bmuf=true",
        "distributed_training.zero_sharding=os",
        "distributed_training.ddp_backend=fully_sharded",
    ],
)
def test_what_cannot_work_is_refused_with_a_cure_that_works(wrong):
    from fairseq import optim

    params = list(network().parameters())
    cfg = config(f"++{wrong}")
    with pytest.raises(BudgetError, match="does not go with budget_scaled_adam") as error:
        optim.build_optimizer(cfg.optimizer, params)
    cure = re.search(r"set (\S+)$", str(error.value))[1]
    optim.build_optimizer(config(f"++{wrong}", f"++{cure}").optimizer, params)


def test_several_rates_are_refused():
    with pytest.raises(BudgetError, match="one base rate"):
        Training(config("optimization.lr=[0.1,0.2]"), network())


def test_the_rate_knows_its_epoch_and_resumes_exactly():
    schedules = [Training(config(), network()).schedule for _ in range(2)]
    schedules[0].step_begin_epoch(31)  # fairseq counts from 1
    schedules[1].load_state_dict(schedules[0].state_dict())
    rates = [schedule.step_update(4000) for schedule in schedules]
    assert rates[0] == rates[1] == 0.045 * Eden(warmup_updates=120).factor(4001, 30)
    assert schedules[0].optimizer.get_lr() == rates[0]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_resumed_from_any_checkpoint_gives_the_same_weights(data, tmp_path, precision):
    overrides = [*SWITCH, f"common.bf16={str(precision == 'bf16').lower()}"]
    every_9 = ["checkpoint.save_interval_updates=9", "checkpoint.keep_interval_updates=-1"]
    done = run(*train_command(data, tmp_path / "whole", *overrides, *every_9))
    log = done.stdout + done.stderr
    losses = [float(loss) for loss in re.findall(r"train_inner.* loss=([\d.]+)", log)]
    assert losses[-1] < 0.95 * losses[0]
    assert "MB of state" in log
    (tmp_path / "part").mkdir()
    shutil.copy(
        tmp_path / "whole/checkpoint_1_9.pt", tmp_path / "part/checkpoint_last.pt"
    )  # as a run that is killed after 9 updates leaves it
    run(*train_command(data, tmp_path / "part", *overrides))
    whole, part = (
        torch.load(tmp_path / name / "checkpoint_last.pt", weights_only=True)
        for name in ("whole", "part")
    )
    assert all(torch.equal(part["model"][name], value) for name, value in whole["model"].items())
    assert whole["optimizer_history"][-1] == part["optimizer_history"][-1]
    states = [checkpoint["last_optimizer_state"]["state"] for checkpoint in (whole, part)]
    for index, state in states[0].items():
        assert all(torch.equal(states[1][index][name], state[name]) for name in state)
