"""wav2vec 2.0's criterion: InfoNCE, codebook diversity, feature penalty."""

from dataclasses import dataclass, field
from typing import Any, Dict, Tuple

from fairseq.criterions import register_criterion

from fairseq_budget.criterions._base import BudgetCriterion, BudgetCriterionConfig, Number
from fairseq_budget.losses import LossTerm
from fairseq_budget.losses.contrastive import info_nce


@dataclass
class BudgetContrastiveConfig(BudgetCriterionConfig):
    """Fields of ``criterion._name=budget_contrastive``."""

    diversity_weight: float = field(
        default=0.1, metadata={"help": "weight of the unused share of the codebooks"}
    )


@register_criterion("budget_contrastive", dataclass=BudgetContrastiveConfig)
class BudgetContrastiveCriterion(BudgetCriterion):
    """The sample size is the number of masked frames; logs are in nats."""

    name = "contrastive"

    def objective(self, out: Dict[str, Any]) -> Tuple[LossTerm, Dict[str, Number]]:
        diversity = self.cfg.diversity_weight * out["quantized"].diversity_loss()
        return info_nce(out["logits"]), {"diversity": diversity}

    def monitor(self, out: Dict[str, Any], term: LossTerm) -> Dict[str, Tuple[Number, Number]]:
        quantized = out["quantized"]
        correct = out["logits"].argmax(1) == 0
        weight = min(1, len(correct))  # of no frames, no codes
        return {
            "contrastive_accuracy": (correct.sum(), len(correct)),
            "code_perplexity": (quantized.code_perplexity.detach(), weight),
            "prob_perplexity": (quantized.prob_perplexity.detach(), weight),
        }
