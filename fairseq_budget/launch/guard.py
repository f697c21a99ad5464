"""Guards a run's checkpoints from other runs, from kills, and from settings of another run."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from omegaconf import OmegaConf

from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained import open_checkpoint
from fairseq_budget.run.lock import hold_folder
from fairseq_budget.run.provenance import history
from fairseq_budget.run.recovery import (
    LAST,
    Start,
    mend_checkpoint,
    refuse_links,
    starting_point,
)
from fairseq_budget.run.settings import check_restart

logger = logging.getLogger(__name__)


@contextmanager
def guarded(cfg: Any) -> Iterator[None]:
    """A run's process, by fairseq's whole config: only its first one (rank 0) writes.

    Raises BudgetError, in all processes, when another run holds save_dir, and for a checkpoint that
    this one cannot go on from.
    """
    with ExitStack() as held:
        refusal = None
        if not cfg.distributed_training.distributed_rank:
            refusal = _begin(cfg, held)
        _agree(refusal)
        try:
            yield
        except Exception as error:
            if not str(error).startswith("Cannot load model parameters"):
                raise
            raise BudgetError(_misfit(starting_point(cfg.checkpoint), error)) from error


def _begin(cfg: Any, held: ExitStack) -> BudgetError | None:
    """Hold the folder, mend and look at what is in it; returns why the run cannot go on."""
    try:
        if not cfg.checkpoint.no_save:
            held.enter_context(hold_folder(cfg.checkpoint.save_dir))
            _mend(cfg.checkpoint)
        start = starting_point(cfg.checkpoint)
        before = None
        if start and str(cfg.model._name).startswith("budget_"):
            before = _compare(start, cfg)
        history.begin(None if start is None or start.weights_only else before)
    except BudgetError as error:
        return error
    return None


def _agree(refusal: BudgetError | None) -> None:
    """Wait until the first process has mended what the others will read, too, or end with it."""
    if dist.is_initialized():
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        is_refused = torch.tensor(int(refusal is not None), device=device)
        dist.broadcast(is_refused, src=0)
        if is_refused and refusal is None:
            refusal = BudgetError("the first process of this run says why it ends")
    if refusal is not None:
        raise refusal


def _mend(checkpoint: Any) -> None:
    folder = checkpoint.save_dir
    refuse_links(folder)
    is_gone = not (Path(folder) / LAST).exists()
    if is_gone and (checkpoint.restore_file != LAST or checkpoint.no_last_checkpoints):
        return  # a run that is to begin from elsewhere, or that has never had one
    found = mend_checkpoint(folder)
    if found:
        fault = "gone" if is_gone else "damaged"
        logger.warning(f"the last checkpoint of {folder} was {fault}: going on from {found}")


def _compare(start: Start, cfg: Any) -> dict[str, Any]:
    """The checkpoint that a run starts from, after warnings of what differs from its settings."""
    now: Any = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    try:
        checkpoint = open_checkpoint(start.path)
    except BudgetError as error:
        raise BudgetError(
            f"{error}; begin anew in another checkpoint.save_dir, or name a checkpoint with "
            "checkpoint.restore_file"
        ) from error
    for warning in check_restart(start.path, checkpoint["cfg"], now, anew=start.weights_only):
        logger.warning(warning)
    return checkpoint


def _misfit(start: Start | None, error: Exception) -> str:
    """torch's own words, which fairseq hides."""
    causes = [line.strip() for line in str(error.__context__).splitlines()[1:4]]
    return (
        f"the weights of {start and start.path} do not fit this model ({'; '.join(causes)}): "
        "set back what differs, or begin anew in another checkpoint.save_dir"
    )
