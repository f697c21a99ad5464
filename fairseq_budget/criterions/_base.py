"""The base of all criterions: penalty, sample size, and logs that add up over workers."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple, Union

from fairseq.criterions import FairseqCriterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.losses import LossTerm
from fairseq_budget.losses.guidance import cardinality_loss, frame_loss, segment_loss
from fairseq_budget.nn.subsample import Segments

Number = Union[Tensor, float]


@dataclass
class BudgetCriterionConfig(FairseqDataclass):
    feature_penalty_weight: float = field(
        default=10.0, metadata={"help": "weight of the mean square of the front-end's output"}
    )
    cardinality_weight: float = field(
        default=0.5,
        metadata={"help": "CIF: weight of the error of segments per frame (model.subsample_rate)"},
    )
    segment_weight: float = field(
        default=0.0,
        metadata={"help": "CIF: weight of sums of alphas at the ends in task.segments (0.005)"},
    )
    frame_weight: float = field(
        default=0.0, metadata={"help": "CIF: weight of alphas' distance to those ends' (0.25)"}
    )


class BudgetCriterion(FairseqCriterion):
    """Subclasses name the objective and compute it; everything else is here.

    fairseq divides gradients by the sample size of all workers and accumulation steps, so an
    update is the mean over all of its masked frames (or values), however they were split into
    batches. Penalties are means of a batch and are weighted by its sample size for that reason.
    """

    name: str  # under which the objective, without penalties, is logged

    # For warnings where little of what is heard counts (``num_counted`` of ``num_heard``).
    what_counts = "the utterances were in batches with masked frames"
    cure = (
        "a single frame (25 to 45 ms) is never masked, and batches are cropped to their shortest "
        "utterance; set task.min_sample_size=720 or more, or task.pad_audio=true"
    )

    def __init__(self, cfg: BudgetCriterionConfig, task: Any) -> None:
        super().__init__(task)
        self.cfg = cfg

    @classmethod
    def build_criterion(cls, cfg: Any, task: Any) -> "BudgetCriterion":
        return cls(cfg, task)

    def objective(self, out: Dict[str, Any]) -> Tuple[LossTerm, Dict[str, Number]]:
        """A model's output -> the objective, and weighted penalties (means) to be added."""
        raise NotImplementedError

    def monitor(self, out: Dict[str, Any], term: LossTerm) -> Dict[str, Tuple[Number, Number]]:
        """Further values to log, each as a sum and a count; `term` is the objective."""
        return {}

    def forward(
        self, model: Any, sample: Dict[str, Any], reduce: bool = True
    ) -> Tuple[Tensor, Union[Tensor, int], Dict[str, Any]]:
        """Loss as a sum, sample_size, and the log, whose every value is a sum or a count."""
        out = model(**sample["net_input"])
        term, penalties = self.objective(out)
        rate = model.encoder.config.subsample_rate
        guidance = self.guidance(out["segments"], rate, sample["net_input"].get("segment_ends"))
        penalties.update(guidance)
        total, count = out["feature_penalty"]
        feature_penalty = self.cfg.feature_penalty_weight * (total / count)
        loss = term.sum + term.count * (feature_penalty + sum(penalties.values()))
        log = {
            "loss": loss.detach(),
            "sample_size": term.count,
            "nsentences": sample["nsentences"],
            "num_counted": (term.count > 0) * sample["nsentences"],
            "num_heard": sample["nsentences"],
            "ntokens": sample["audio_seconds"],  # so fairseq's wps is seconds of audio per second
            "audio_seconds": sample["audio_seconds"],
            "flops": model.training_flops(sample["num_samples"], out),
        }
        monitored = {
            self.name: (term.sum.detach(), term.count),
            "feature_penalty": (total.detach(), count),
            "output_spread": (out["output_spread"], 1),
            **{name: (value.detach(), 1) for name, value in guidance.items()},
            **self.monitor(out, term),
        }
        if out["num_segments"] is not None:
            monitored["segment_rate"] = (int(out["num_segments"].sum()), sample["audio_seconds"])
        for name, (part, weight) in monitored.items():
            log[f"{name}.sum"], log[f"{name}.count"] = part, weight
        return loss, term.count, log

    def guidance(
        self, segments: Optional[Segments], rate: float, ends: Optional[Tensor]
    ) -> Dict[str, Tensor]:
        """Weighted penalties (means over utterances) that tell CIF how to place its segments."""
        if segments is None or segments.alphas is None:
            return {}
        alphas, cfg = segments.alphas, self.cfg
        terms = {}
        if cfg.cardinality_weight:
            term = cardinality_loss(alphas, segments.num_frames(), rate)
            terms["cardinality"] = cfg.cardinality_weight * term.sum / term.count
        for name, loss in (("segment", segment_loss), ("frame", frame_loss)):
            weight = getattr(cfg, f"{name}_weight")
            if weight:
                term = loss(alphas, self._required(ends, name))
                terms[f"{name}_guidance"] = weight * term.sum / term.count
        return terms

    def _required(self, ends: Optional[Tensor], name: str) -> Tensor:
        if ends is None:
            raise BudgetError(
                f"criterion.{name}_weight={getattr(self.cfg, f'{name}_weight')} needs segments to "
                "learn from: set task.segments=seg, made by `budget-labels segment`"
            )
        return ends

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        total = {key: sum(log[key] for log in logging_outputs) for key in logging_outputs[0]}
        log_mean("loss", total["loss"], total["sample_size"])
        for key in total:
            name, _, kind = key.rpartition(".")
            if kind == "sum":
                log_mean(name, total[key], total[f"{name}.count"])

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True


def log_mean(name: str, total: Number, count: Number) -> None:
    """Weight 0, in the mean that is shown, for a batch in which nothing counts."""
    weight = float(count)
    metrics.log_scalar(name, total / (weight or 1.0), weight, round=4)
