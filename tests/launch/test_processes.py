"""Where the processes of a run are placed, for machines that tests have not."""

import contextlib
import gc
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

pytestmark = pytest.mark.fairseq
pytest.importorskip("fairseq")

from fairseq_budget.errors import BudgetError  # noqa: E402
from fairseq_budget.launch import processes  # noqa: E402


@pytest.fixture
def config(monkeypatch):
    """What fairseq's own defaults are on a machine with so many GPUs, and torchrun's variables."""
    for name in (*processes.TORCHRUN, "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SLURM_NODEID"):
        monkeypatch.delenv(name, raising=False)

    def make(num_gpus: int, world_size: int | None = None, cpu: bool = False, **env: object):
        monkeypatch.setattr(processes.torch.cuda, "is_available", lambda: num_gpus > 0)
        monkeypatch.setattr(processes.torch.cuda, "device_count", lambda: num_gpus)
        for name, value in env.items():
            monkeypatch.setenv(name, str(value))
        distributed = SimpleNamespace(
            distributed_world_size=world_size or max(1, num_gpus), distributed_rank=0,
            distributed_init_method=None, distributed_backend="nccl", device_id=0,
            distributed_no_spawn=False, ddp_backend="pytorch_ddp",
        )  # fmt: skip
        return SimpleNamespace(common=SimpleNamespace(cpu=cpu), distributed_training=distributed)

    return make


def torchrun(rank: int, world_size: int, local_rank: int, local_size: int) -> dict[str, object]:
    return dict(
        MASTER_ADDR="node0", MASTER_PORT=29500, RANK=rank, WORLD_SIZE=world_size,
        LOCAL_RANK=local_rank, LOCAL_WORLD_SIZE=local_size,
    )  # fmt: skip


def placed(cfg) -> dict:
    processes.place(cfg)
    return vars(cfg.distributed_training)


def test_one_gpu_on_each_of_three_nodes_makes_one_run_of_three(config):
    found = placed(config(1, **torchrun(rank=2, world_size=3, local_rank=0, local_size=1)))
    assert found["distributed_world_size"] == 3
    assert (found["distributed_rank"], found["device_id"]) == (2, 0)
    assert found["distributed_init_method"] == "env://"
    assert found["distributed_backend"] == "nccl"
    assert found["ddp_backend"] == "pytorch_ddp"


def test_every_process_of_a_node_takes_its_own_gpu(config):
    found = placed(config(2, **torchrun(rank=3, world_size=4, local_rank=1, local_size=2)))
    assert (found["distributed_world_size"], found["distributed_rank"]) == (4, 3)
    assert found["device_id"] == 1


def test_without_a_gpu_torchruns_processes_meet_over_gloo(config):
    found = placed(config(0, **torchrun(rank=1, world_size=2, local_rank=1, local_size=2)))
    assert (found["distributed_world_size"], found["distributed_rank"]) == (2, 1)
    assert (found["distributed_backend"], found["ddp_backend"]) == ("gloo", "legacy_ddp")


def test_one_process_of_torchrun_is_one_run_on_one_device(config):
    found = placed(config(1, **torchrun(rank=0, world_size=1, local_rank=0, local_size=1)))
    assert found["distributed_world_size"] == 1
    assert found["distributed_init_method"] is None


def test_two_processes_are_spawned_on_a_cpu_and_on_two_gpus_alike(config):
    for machine, spawns in (((0, 2), True), ((2,), False), ((1, 2, True), True)):
        cfg = config(*machine)
        processes.place(cfg)
        assert processes._spawns_on_cpu(cfg) is spawns  # else fairseq spawns: one per GPU


def test_more_processes_than_gpus_are_refused_with_the_cure(config):
    with pytest.raises(BudgetError, match=r"distributed_world_size=4, but there are 1 GPUs.*cpu"):
        processes.place(config(1, 4))
    crowded = torchrun(rank=1, world_size=2, local_rank=1, local_size=2)
    with pytest.raises(BudgetError, match=r"nproc_per_node=2, but there are 1 GPUs"):
        processes.place(config(1, **crowded))


def test_a_world_size_that_contradicts_torchrun_is_refused(config):
    launched = torchrun(rank=0, world_size=2, local_rank=0, local_size=2)
    with pytest.raises(BudgetError, match="distributed_world_size=3, but torchrun started 2"):
        processes.place(config(0, 3, **launched))


def test_nan_of_another_process_ends_this_one_in_a_line():
    def main(cfg):
        raise FloatingPointError("gradients are\nNan/Inf")

    rank = {"distributed_training": {"distributed_rank": 1}, "common": {"cpu": True}}
    with pytest.raises(SystemExit, match=r"error: gradients are Nan/Inf \(another process"):
        processes.train(main, OmegaConf.create(rank))


def test_what_was_imported_is_not_looked_through_for_garbage(monkeypatch):
    monkeypatch.setattr(processes, "guarded", lambda cfg: contextlib.nullcontext())
    gc.unfreeze()
    counts = []
    cfg = OmegaConf.create({"common": {"cpu": True}})
    processes.train(lambda cfg: counts.append(gc.get_freeze_count()), cfg)
    gc.unfreeze()
    assert counts[0] > 100_000
