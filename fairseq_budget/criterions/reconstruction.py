"""TERA's criterion: L1 on masked frames."""

from typing import Any, Dict, Tuple

import torch
from fairseq.criterions import register_criterion

from fairseq_budget.criterions._base import BudgetCriterion, BudgetCriterionConfig, Number
from fairseq_budget.losses import LossTerm
from fairseq_budget.losses.reconstruction import l1_reconstruction


@register_criterion("budget_reconstruction", dataclass=BudgetCriterionConfig)
class BudgetReconstructionCriterion(BudgetCriterion):
    """The sample size is the number of reconstructed values, frames times dimensions."""

    name = "reconstruction"

    def objective(self, out: Dict[str, Any]) -> Tuple[LossTerm, Dict[str, Number]]:
        return l1_reconstruction(out["prediction"], out["target"]), {}

    def monitor(self, out: Dict[str, Any], term: LossTerm) -> Dict[str, Tuple[Number, Number]]:
        """What is left of the L1 that the mean of the batch's masked frames would have."""
        error, target = term.sum.detach(), out["target"].float()
        nothing = (target - target.mean(0)).abs().sum()
        weight = min(1, len(target))
        return {"unexplained": (torch.where(nothing > 0, error / nothing, 0.0), weight)}
