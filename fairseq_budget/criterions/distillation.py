"""DistilHuBERT's criterion: L1 and cosine distance to layers of a teacher."""

from dataclasses import dataclass, field
from typing import Any, Dict, Tuple

from fairseq.criterions import register_criterion

from fairseq_budget.criterions._base import BudgetCriterion, BudgetCriterionConfig, Number
from fairseq_budget.losses import LossTerm
from fairseq_budget.losses.distillation import LayerDistances, layer_distances


@dataclass
class BudgetDistillationConfig(BudgetCriterionConfig):
    """Fields of ``criterion._name=budget_distillation``."""

    feature_penalty_weight: float = field(
        default=0.0, metadata={"help": "weight of the mean square of the front-end's output"}
    )
    cosine_weight: float = field(default=1.0, metadata={"help": "weight of -log sigmoid(cosine)"})


@register_criterion("budget_distillation", dataclass=BudgetDistillationConfig)
class BudgetDistillationCriterion(BudgetCriterion):
    """The sample size is the number of (frame, layer) pairs; both terms are logged per layer."""

    name = "distillation"

    def objective(self, out: Dict[str, Any]) -> Tuple[LossTerm, Dict[str, Number]]:
        return self._distances(out).loss(self.cfg.cosine_weight), {}

    def monitor(self, out: Dict[str, Any], term: LossTerm) -> Dict[str, Tuple[Number, Number]]:
        found = self._distances(out)
        logged: Dict[str, Tuple[Number, Number]] = {}
        for place, layer in enumerate(out["layers"]):
            logged[f"l1_{layer}"] = (found.l1[place].detach(), found.count)
            logged[f"cosine_{layer}"] = (found.cosine[place].detach(), found.count)
        return logged

    def _distances(self, out: Dict[str, Any]) -> LayerDistances:
        if "distances" not in out:
            out["distances"] = layer_distances(
                out["prediction"], out["target"], out["padding_mask"]
            )
        return out["distances"]
