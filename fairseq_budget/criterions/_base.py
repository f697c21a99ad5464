"""What all criterions share: penalty, sample size, and logs that add up over workers."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple, Union

from fairseq.criterions import FairseqCriterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor

from fairseq_budget.losses import LossTerm

Number = Union[Tensor, float]


@dataclass
class BudgetCriterionConfig(FairseqDataclass):
    feature_penalty_weight: float = field(
        default=10.0, metadata={"help": "weight of the mean square of the front-end's output"}
    )


class BudgetCriterion(FairseqCriterion):
    """Subclasses name the objective and compute it; everything else is here.

    fairseq divides gradients by the sample size of all workers and accumulation steps, so an
    update is the mean over all of its masked frames (or values), however they were split into
    batches. Penalties are means of a batch and are weighted by its sample size for that reason.
    """

    name: str  # under which the objective, without penalties, is logged

    def __init__(self, cfg: BudgetCriterionConfig, task: Any) -> None:
        super().__init__(task)
        self.cfg = cfg

    @classmethod
    def build_criterion(cls, cfg: Any, task: Any) -> "BudgetCriterion":
        return cls(cfg, task)

    def objective(self, out: Dict[str, Any]) -> Tuple[LossTerm, Dict[str, Number]]:
        """A model's output -> the objective, and weighted penalties (means) to be added."""
        raise NotImplementedError

    def monitor(self, out: Dict[str, Any]) -> Dict[str, Tuple[Number, Number]]:
        """Further values to log, each as a sum and a count."""
        return {}

    def forward(
        self, model: Any, sample: Dict[str, Any], reduce: bool = True
    ) -> Tuple[Tensor, int, Dict[str, Any]]:
        """Loss as a sum, sample_size, and the log, whose every value is a sum or a count."""
        out = model(**sample["net_input"])
        term, penalties = self.objective(out)
        total, count = out["feature_penalty"]
        feature_penalty = self.cfg.feature_penalty_weight * (total / count)
        loss = term.sum + term.count * (feature_penalty + sum(penalties.values()))
        log = {
            "loss": loss.detach(),
            "sample_size": term.count,
            "nsentences": sample["nsentences"],
            "ntokens": sample["audio_seconds"],  # so fairseq's wps is seconds of audio per second
            "audio_seconds": sample["audio_seconds"],
        }
        monitored = {
            self.name: (term.sum.detach(), term.count),
            "feature_penalty": (total.detach(), count),
            **self.monitor(out),
        }
        for name, (part, weight) in monitored.items():
            log[f"{name}.sum"], log[f"{name}.count"] = part, weight
        return loss, term.count, log

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        total = {key: sum(log[key] for log in logging_outputs) for key in logging_outputs[0]}
        size = max(float(total["sample_size"]), 1.0)
        metrics.log_scalar("loss", total["loss"] / size, size, round=4)
        for key in total:
            name, _, kind = key.rpartition(".")
            if kind == "sum":
                count = max(float(total[f"{name}.count"]), 1.0)
                metrics.log_scalar(name, total[key] / count, count, round=4)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True
