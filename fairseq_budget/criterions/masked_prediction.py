"""HuBERT's criterion: cross-entropy over clusters on masked frames, optionally on heard ones."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_budget.criterions._base import BudgetCriterion, BudgetCriterionConfig, Number
from fairseq_budget.losses import LossTerm
from fairseq_budget.losses.masked_prediction import cluster_cross_entropy


@dataclass
class BudgetMaskedPredictionConfig(BudgetCriterionConfig):
    """Fields of ``criterion._name=budget_masked_prediction``."""

    pred_nomask_weight: float = field(
        default=0.0,
        metadata={"help": "weight of heard frames' loss; needs model.predict_unmasked=true"},
    )


@register_criterion("budget_masked_prediction", dataclass=BudgetMaskedPredictionConfig)
class BudgetMaskedPredictionCriterion(BudgetCriterion):
    """The sample size is the number of masked frames, as in fairseq; logs are in nats.

    Of several label sets the losses are summed, and the accuracy is the mean.
    """

    name = "masked_prediction"

    def objective(self, out: Dict[str, Any]) -> Tuple[LossTerm, Dict[str, Number]]:
        term = _sum_over_sets(out["logits"], out["labels"])
        if not self.cfg.pred_nomask_weight:
            return term, {}
        heard = _sum_over_sets(out["unmasked_logits"], out["unmasked_labels"])
        weighted = self.cfg.pred_nomask_weight * heard.sum
        return LossTerm(term.sum + weighted, term.count + heard.count), {}

    def monitor(self, out: Dict[str, Any], term: LossTerm) -> Dict[str, Tuple[Number, Number]]:
        pairs = zip(out["logits"], out["labels"], strict=True)
        predicted, labels = (
            torch.cat(each)
            for each in zip(*((logits.argmax(1), labels) for logits, labels in pairs), strict=True)
        )
        return {
            "masked_accuracy": ((predicted == labels).sum(), len(labels)),
            "top_class": (_num_of_most(predicted), len(labels)),
            "top_label": (_num_of_most(labels), len(labels)),
        }


def _num_of_most(classes: Tensor) -> Tensor:
    """How many of (N,) are of the class that most are of."""
    return (classes == classes.mode().values).sum() if len(classes) else classes.new_zeros(())


def _sum_over_sets(logits: List[Tensor], labels: List[Tensor]) -> LossTerm:
    """The losses of all label sets, summed; the count is that of frames, as in fairseq."""
    terms = [cluster_cross_entropy(*pair) for pair in zip(logits, labels, strict=True)]
    return LossTerm(torch.stack([term.sum for term in terms]).sum(), terms[0].count)
