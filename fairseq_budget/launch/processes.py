"""Places the processes of a run: under torchrun, spawned, or started by hand; GPU or CPU.

fairseq counts CUDA devices, so without a GPU `torchrun` starts as many separate runs and spawning
starts none; with one GPU per node its default world size of 1 hides torchrun's.
"""

from __future__ import annotations

import gc
import logging.config
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import torch
from fairseq.distributed.utils import distributed_main
from omegaconf import OmegaConf, open_dict
from torch.multiprocessing.spawn import ProcessExitedException, spawn

from fairseq_budget.console.quiet import hush, hush_console, is_debug
from fairseq_budget.errors import BudgetError
from fairseq_budget.launch import saving, settings
from fairseq_budget.launch.guard import guarded
from fairseq_budget.optim.eager import keep_from_compiler
from fairseq_budget.run.allocator import keep_freed_memory
from fairseq_budget.run.interrupt import CTRL_C, interrupt

TORCHRUN = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")


def start(call_main: Callable[..., Any], cfg: Any, main: Callable[..., Any], **kwargs: Any) -> Any:
    """fairseq's `call_main`, right wherever it is started; ends the program with one message."""
    main = _Training(main)
    _hush_console(cfg)
    try:
        place(cfg)
        if not _spawns_on_cpu(cfg):
            return call_main(cfg, main, **kwargs)
        return _spawn(cfg, main, kwargs)
    except BudgetError as error:
        sys.exit(f"fairseq-hydra-train: error: {error}")
    except ProcessExitedException as ended:  # its process has said why
        sys.exit(ended.exit_code if ended.exit_code > 0 else 128 - ended.exit_code)


class _Training:
    """`train` with fairseq's `main`; a spawned process is hushed as soon as it is handed this."""

    def __init__(self, main: Callable[..., Any]) -> None:
        self.main = main

    def __call__(self, cfg: Any, **kwargs: Any) -> None:
        train(self.main, cfg, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        hush()


def _hush_console(cfg: Any) -> None:
    """At once, and in what fairseq's `main` sets logging up with again."""
    if is_debug() or cfg.get("job_logging_cfg") is None:
        return
    shown = ["fairseq_budget", "train", "train_inner", *cfg.dataset.valid_subset.split(",")]
    config: Any = OmegaConf.to_container(cfg.job_logging_cfg)
    with open_dict(cfg):
        cfg.job_logging_cfg = hush_console(config, shown)
    logging.config.dictConfig(hush_console(config, shown))


def train(main: Callable[..., Any], cfg: Any, **kwargs: Any) -> None:
    """Train in one process of a run; errors of the user end it with one line."""
    settings.register()
    saving.install()
    keep_from_compiler()
    gc.freeze()  # what was imported is never garbage: neither looked through again, nor at the end
    try:
        settings.check(cfg)
        if on_cpu(cfg):
            keep_freed_memory()
        with guarded(cfg):
            main(cfg, **kwargs)
    except BudgetError as error:
        sys.exit(f"fairseq-hydra-train: error: {error}")
    except FloatingPointError as error:  # nothing of this process' own, or it would be named
        words = " ".join(str(error).split())
        sys.exit(f"fairseq-hydra-train: error: {words} (another process may say where)")
    except KeyboardInterrupt:
        sys.exit(CTRL_C)
    if interrupt.agreed:
        _leave_interrupted(cfg)


def _leave_interrupted(cfg: Any) -> None:
    """Once all processes are done: a launcher ends the others as soon as one has left."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    if not cfg.distributed_training.distributed_rank:
        print(
            f"fairseq-hydra-train: interrupted: saved to {cfg.checkpoint.save_dir}; "
            "the same command goes on",
            file=sys.stderr,
        )
    sys.exit(interrupt.agreed)


def place(cfg: Any) -> None:
    """Fill in rank, world size, device and backend from torchrun's environment and the devices.

    Raises BudgetError where the processes that are asked for cannot train together.
    """
    distributed = cfg.distributed_training
    if distributed.distributed_init_method is None and all(key in os.environ for key in TORCHRUN):
        _join_torchrun(cfg)
    if distributed.distributed_world_size > 1:
        if on_cpu(cfg):
            _use_cpu(cfg)
        elif distributed.distributed_init_method is None and "SLURM_NODEID" not in os.environ:
            _require_gpus(distributed.distributed_world_size, "distributed_world_size")


def on_cpu(cfg: Any) -> bool:
    return cfg.common.cpu or not torch.cuda.is_available()


def _join_torchrun(cfg: Any) -> None:
    distributed, wanted = cfg.distributed_training, int(os.environ["WORLD_SIZE"])
    given = distributed.distributed_world_size
    if given not in (1, torch.cuda.device_count(), wanted):
        raise BudgetError(
            f"distributed_training.distributed_world_size={given}, but torchrun started {wanted} "
            "processes: leave it out, torchrun's --nnodes and --nproc_per_node say it"
        )
    distributed.distributed_world_size = wanted
    if wanted == 1:
        return
    if not on_cpu(cfg):
        _require_gpus(int(os.environ.get("LOCAL_WORLD_SIZE", 1)), "torchrun's --nproc_per_node")
    distributed.distributed_init_method = "env://"
    distributed.distributed_rank = int(os.environ["RANK"])
    distributed.device_id = int(os.environ.get("LOCAL_RANK", 0))
    distributed.distributed_no_spawn = True


def _require_gpus(num_processes: int, asked_by: str) -> None:
    if num_processes > torch.cuda.device_count():
        raise BudgetError(
            f"{asked_by}={num_processes}, but there are {torch.cuda.device_count()} GPUs here: one "
            "process per GPU; for several nodes start each with torchrun, for CPUs set "
            "common.cpu=true"
        )


def _use_cpu(cfg: Any) -> None:
    """gloo, and a wrapper that asks for no CUDA device; what was started by hand stays as it is."""
    distributed = cfg.distributed_training
    if distributed.ddp_backend == "fully_sharded":
        raise BudgetError(
            "distributed_training.ddp_backend=fully_sharded needs GPUs: choose legacy_ddp"
        )
    if distributed.ddp_backend in ("c10d", "pytorch_ddp"):
        distributed.ddp_backend = "legacy_ddp"
    if distributed.distributed_backend == "nccl":
        distributed.distributed_backend = "gloo"
    cfg.common.cpu = True
    distributed.device_id = 0
    if distributed.distributed_init_method is not None:
        distributed.distributed_no_spawn = True  # fairseq would spawn one process per GPU: none
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        raise BudgetError(
            "srun's tasks cannot find each other without GPUs: start one task per node, "
            "and torchrun in it"
        )


def _spawns_on_cpu(cfg: Any) -> bool:
    distributed = cfg.distributed_training
    unplaced = distributed.distributed_init_method is None
    return on_cpu(cfg) and unplaced and distributed.distributed_world_size > 1


def _spawn(cfg: Any, main: Callable[..., Any], kwargs: dict[str, Any]) -> None:
    """fairseq's own spawning, with as many processes as asked for rather than as GPUs."""
    distributed = cfg.distributed_training
    with socket.socket() as free:
        free.bind(("localhost", 0))
        distributed.distributed_init_method = f"tcp://localhost:{free.getsockname()[1]}"
    distributed.distributed_rank = None  # assigned in each process
    spawn(
        distributed_main,
        (main, cfg, {**kwargs, "start_rank": 0}),
        nprocs=distributed.distributed_world_size,
    )
