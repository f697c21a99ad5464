"""The first lines of a run: what will be trained, on what, what it costs, when it ends.

(Those of its data are logged where they are opened.)
"""

import logging
import time
from math import inf, isfinite
from typing import Any, List, Optional, Tuple

import torch

from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.data.batches import UpdateAudio

MIN_UPDATES, MIN_SECONDS = 10, 10
"""After which a run's speed is known well enough."""

logger = logging.getLogger(__name__)


def introduction(root: Any, model: Any, heard: UpdateAudio, num_made: int) -> List[str]:
    """One line each, by fairseq's whole config; num_made updates are made already."""
    flops = update_flops(model, heard)
    return [
        _model(root.model, model),
        _objective(root),
        _batch(root, heard),
        _cost(root, flops),
        _updates(num_updates(root, model, heard), heard, num_made),
        _saves(root.checkpoint),
        _end(root),
        _devices(root),
    ]


def num_updates(root: Any, model: Any, heard: UpdateAudio) -> float:
    """With how many a run ends, whatever ends it; inf where nothing does."""
    limits = (
        root.optimization.max_update,
        (root.optimization.max_epoch or 0) * heard.updates_per_epoch,
        (root.task.get("budget_flops") or 0) / update_flops(model, heard),
    )
    return min((limit for limit in limits if limit > 0), default=inf)


class Forecast:
    """Says when a run will end: once, as soon as its speed is known."""

    def __init__(self, num_total: float) -> None:
        self._num_total = num_total if isfinite(num_total) else 0
        self._first: Optional[Tuple[int, float]] = None  # update and time: it paid for start-up

    def add(self, num_made: int) -> None:
        """An update that has just ended, and how many there are with it."""
        self._first = self._first or (num_made, time.monotonic())
        num_timed, seconds = num_made - self._first[0], time.monotonic() - self._first[1]
        if num_made < self._num_total and num_timed >= MIN_UPDATES and seconds >= MIN_SECONDS:
            left = (self._num_total - num_made) * seconds / num_timed
            at = time.strftime("%a %d %b, %H:%M", time.localtime(time.time() + left))
            logger.info(f"end: in about {left / 3600:.2f} h, on {at}")
            self._num_total = 0


def update_flops(model: Any, heard: UpdateAudio) -> float:
    """FLOPs of an update of the encoder, on average."""
    return training_flops_per_second(model.encoder.config, heard.sequence_s) * heard.seconds


def _model(cfg: Any, model: Any) -> str:
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    num_trained = sum(size for size, is_trained in sizes if is_trained)
    return (
        f"model: {cfg._name}, size {model.encoder.config.size}, "
        f"{sum(size for size, _ in sizes):,} parameters, {num_trained:,} of them trained"
    )


def _objective(root: Any) -> str:
    given = (("task", "labels"), ("model", "teacher"), ("model", "pretrained"))
    words = [f"{section}.{name}={root[section].get(name)}" for section, name in given]
    return ", ".join(
        [f"objective: {root.criterion._name}", *(w for w in words if not w.endswith("=None"))]
    )


def _batch(root: Any, heard: UpdateAudio) -> str:
    limits = [f"dataset.{name}={root.dataset[name]}" for name in ("max_tokens", "batch_size")]
    return (
        f"batch: {heard.seconds:.1f} s of audio in an update, in utterances of "
        f"{heard.sequence_s:.1f} s ({' or '.join(w for w in limits if not w.endswith('=None'))}, "
        f"{root.optimization.update_freq[-1]} accumulated)"
        + (f"; {heard.lost:.1%} cropped away for equal lengths" if heard.lost >= 5e-4 else "")
    )


def _cost(root: Any, flops: float) -> str:
    budget = root.task.get("budget_flops")
    bought = f"; task.budget_flops={budget:.4g} pays for {budget / flops:,.0f}" if budget else ""
    return f"cost: {flops:.3g} FLOPs in an update of the encoder{bought}"


def _updates(num_total: float, heard: UpdateAudio, num_made: int) -> str:
    total = f"{num_total:,.0f}" if isfinite(num_total) else "any number"
    hours = f" ({num_total * heard.seconds / 3600:,.2f} h of audio)" if isfinite(num_total) else ""
    return f"updates: {total}{hours}, {heard.updates_per_epoch:,.1f} in an epoch; {num_made:,} made"


def _saves(cfg: Any) -> str:
    if cfg.no_save:
        return "saves: nothing (checkpoint.no_save=true)"
    every = f"every {cfg.save_interval} epochs" if cfg.save_interval > 1 else "every epoch"
    if cfg.save_interval_updates:
        every += f", every {cfg.save_interval_updates:,} updates"
    return f"saves: {every}, on Ctrl-C or SIGTERM and at the end, in {cfg.save_dir}"


def _end(root: Any) -> str:
    optimization = root.optimization
    ends = {
        f"{optimization.max_update:,} updates": optimization.max_update,
        f"{optimization.max_epoch} epochs": optimization.max_epoch,
        f"{root.task.get('budget_flops') or 0:.4g} FLOPs": root.task.get("budget_flops"),
        f"{optimization.stop_time_hours} h": optimization.stop_time_hours,
    }
    first = " or ".join(words for words, limit in ends.items() if limit and limit > 0)
    return f"end: after {first or 'Ctrl-C'}; at what time is said once the speed is known"


def _devices(root: Any) -> str:
    common, count = root.common, root.distributed_training.distributed_world_size
    precision = next((name for name in ("fp16", "bf16", "amp") if common.get(name)), "fp32")
    kind = "CPU" if common.cpu or not torch.cuda.is_available() else "GPU"
    return (
        f"seed {common.seed}, {precision}, {count} process{'es' * (count > 1)} ({kind}); "
        "the whole config is in hydra_train.log, or shown with BUDGET_DEBUG=1"
    )
