"""HuBERT's criterion: cross-entropy over clusters on masked frames, optionally on heard ones."""

from dataclasses import dataclass, field
from typing import Any, Dict, Tuple

from fairseq.criterions import register_criterion

from fairseq_budget.criterions._base import BudgetCriterion, BudgetCriterionConfig, Number
from fairseq_budget.losses import LossTerm
from fairseq_budget.losses.masked_prediction import cluster_cross_entropy


@dataclass
class BudgetMaskedPredictionConfig(BudgetCriterionConfig):
    pred_nomask_weight: float = field(
        default=0.0,
        metadata={"help": "weight of heard frames' loss; needs model.predict_unmasked=true"},
    )


@register_criterion("budget_masked_prediction", dataclass=BudgetMaskedPredictionConfig)
class BudgetMaskedPredictionCriterion(BudgetCriterion):
    """The sample size is the number of masked frames, as in fairseq; logs are in nats."""

    name = "masked_prediction"

    def objective(self, out: Dict[str, Any]) -> Tuple[LossTerm, Dict[str, Number]]:
        term = cluster_cross_entropy(out["logits"], out["labels"])
        if not self.cfg.pred_nomask_weight:
            return term, {}
        heard = cluster_cross_entropy(out["unmasked_logits"], out["unmasked_labels"])
        weighted = self.cfg.pred_nomask_weight * heard.sum
        return LossTerm(term.sum + weighted, term.count + heard.count), {}

    def monitor(self, out: Dict[str, Any]) -> Dict[str, Tuple[Number, Number]]:
        correct = out["logits"].argmax(1) == out["labels"]
        return {"masked_accuracy": (correct.sum(), len(correct))}
