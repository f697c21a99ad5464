"""``lr_scheduler._name=budget_eden``: the Eden schedule under fairseq's trainer."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.optim.lr_scheduler import FairseqLRScheduler, register_lr_scheduler
from omegaconf import II

from fairseq_budget.errors import BudgetError
from fairseq_budget.optim.eden import Eden


@dataclass
class BudgetEdenConfig(FairseqDataclass):
    """Fields of ``lr_scheduler._name=budget_eden``."""

    lr_updates: float = field(
        default=7500, metadata={"help": "updates after which the rate begins to fall"}
    )
    lr_epochs: Optional[float] = field(
        default=10.5,
        metadata={"help": "epochs after which it begins to fall; null: updates alone count"},
    )
    warmup_updates: int = field(default=5000, metadata={"help": "updates of linear warm-up"})
    warmup_start: float = field(
        default=0.0, metadata={"help": "share of the rate that the warm-up starts from"}
    )
    lr: List[float] = field(default=II("optimization.lr"))


@register_lr_scheduler("budget_eden", dataclass=BudgetEdenConfig)
class BudgetEden(FairseqLRScheduler):
    """The rate is a function of update and epoch, so a resumed run has the rate it would have had.

    As in the recipe, updates count from 1 (the first is not one of rate 0), epochs from 0.
    """

    def __init__(self, cfg: BudgetEdenConfig, optimizer: Any) -> None:
        super().__init__(cfg, optimizer)
        if len(cfg.lr) != 1:
            raise BudgetError(
                f"optimization.lr={list(cfg.lr)}: budget_eden expects one base rate, e.g. [0.045]"
            )
        self.eden = Eden(cfg.lr_updates, cfg.lr_epochs, cfg.warmup_updates, cfg.warmup_start)
        self.epoch = 0
        self.step_update(0)

    def step_begin_epoch(self, epoch: int) -> None:
        """fairseq's epochs count from 1; it asks step_update for the rate right afterwards."""
        self.epoch = epoch - 1

    def step_update(self, num_updates: int) -> float:
        rate = self.cfg.lr[0] * self.eden.factor(num_updates + 1, self.epoch)
        self.optimizer.set_lr(rate)
        return rate

    def state_dict(self) -> Dict[str, Any]:
        return {**super().state_dict(), "epoch": self.epoch}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.epoch = state_dict["epoch"]
