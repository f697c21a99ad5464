"""What keeps a run's checkpoints from other runs, from kills, and from settings of another run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from fairseq.dataclass.initialize import add_defaults
from omegaconf import OmegaConf

from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained import open_checkpoint
from fairseq_budget.recovery import Start, mend_checkpoint, refuse_links, starting_point
from fairseq_budget.run_lock import hold_folder
from fairseq_budget.run_settings import check_restart

logger = logging.getLogger(__name__)


@contextmanager
def guarded(cfg: Any) -> Iterator[None]:
    """A run's process, by fairseq's whole config: only its first one (rank 0) writes.

    Raises BudgetError when another run holds save_dir, and for a checkpoint that it cannot go on
    from.
    """
    if cfg.distributed_training.distributed_rank:
        yield
        return
    checkpoint = cfg.checkpoint
    with nullcontext() if checkpoint.no_save else hold_folder(checkpoint.save_dir):
        if not checkpoint.no_save:
            _mend(checkpoint.save_dir)
        start = starting_point(checkpoint)
        if start and str(cfg.model._name).startswith("budget_"):
            _compare(start, cfg)
        try:
            yield
        except Exception as error:
            if not str(error).startswith("Cannot load model parameters"):
                raise
            raise BudgetError(_misfit(start, error)) from error


def _mend(folder: str) -> None:
    refuse_links(folder)
    found = mend_checkpoint(folder)
    if found:
        logger.warning(f"the last checkpoint of {folder} was damaged: going on from {found}")


def _compare(start: Start, cfg: Any) -> None:
    add_defaults(cfg)  # as main does
    now: Any = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    saved = open_checkpoint(start.path)["cfg"]
    for warning in check_restart(start.path, saved, now, anew=start.weights_only):
        logger.warning(warning)


def _misfit(start: Start | None, error: Exception) -> str:
    """torch's own words, which fairseq hides."""
    causes = [line.strip() for line in str(error.__context__).splitlines()[1:4]]
    return (
        f"the weights of {start and start.path} do not fit this model ({'; '.join(causes)}): "
        "set back what differs, or begin anew in another checkpoint.save_dir"
    )
