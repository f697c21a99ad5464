"""TERA's criterion: L1 on masked frames."""

from typing import Any, Dict, Tuple

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
