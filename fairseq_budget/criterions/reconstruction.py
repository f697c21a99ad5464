"""TERA's criterion: L1 on masked frames, and a penalty on the front-end's output."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor

from fairseq_budget.losses.reconstruction import l1_reconstruction


@dataclass
class BudgetReconstructionConfig(FairseqDataclass):
    feature_penalty_weight: float = field(
        default=10.0, metadata={"help": "weight of the mean square of the front-end's output"}
    )


@register_criterion("budget_reconstruction", dataclass=BudgetReconstructionConfig)
class BudgetReconstructionCriterion(FairseqCriterion):
    def __init__(self, cfg: BudgetReconstructionConfig, task: Any) -> None:
        super().__init__(task)
        self.feature_penalty_weight = cfg.feature_penalty_weight

    @classmethod
    def build_criterion(cls, cfg: Any, task: Any) -> "BudgetReconstructionCriterion":
        return cls(cfg, task)

    def forward(
        self, model: Any, sample: Dict[str, Any], reduce: bool = True
    ) -> Tuple[Tensor, int, Dict[str, Any]]:
        """Loss as a sum, sample_size = reconstructed values (frames x dimensions), the log.

        fairseq divides gradients by the sample size of all workers and accumulation steps, so the
        update is the mean over all masked values, however they were split into batches. The
        penalty, a mean, is weighted by the sample size for that reason.
        """
        out = model(**sample["net_input"])
        error = l1_reconstruction(out["prediction"], out["target"])
        penalty_sum, penalty_count = out["feature_penalty"]
        penalty = penalty_sum / penalty_count
        loss = error.sum + self.feature_penalty_weight * penalty * error.count
        log = {
            "loss": loss.detach(),
            "reconstruction": error.sum.detach(),
            "feature_penalty_sum": penalty_sum.detach(),
            "feature_penalty_count": penalty_count,
            "sample_size": error.count,
            "nsentences": sample["nsentences"],
            "ntokens": sample["audio_seconds"],  # so fairseq's wps is seconds of audio per second
            "audio_seconds": sample["audio_seconds"],
        }
        return loss, error.count, log

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        total = {key: sum(log[key] for log in logging_outputs) for key in logging_outputs[0]}
        size = max(float(total["sample_size"]), 1.0)
        metrics.log_scalar("loss", total["loss"] / size, size, round=4)
        metrics.log_scalar("reconstruction", total["reconstruction"] / size, size, round=4)
        count = total["feature_penalty_count"]
        penalty = total["feature_penalty_sum"] / count
        metrics.log_scalar("feature_penalty", penalty, float(count), round=6)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True
