"""Transducer fine-tuning: stateless predictor and joiner on a pre-trained encoder."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from fairseq.models import register_model
from torch import Tensor

from fairseq_budget.asr.decoding import greedy_search
from fairseq_budget.asr.predictor import PRUNE_RANGE, TransducerHead
from fairseq_budget.models._recognizer import BudgetRecognizer, BudgetRecognizerConfig


@dataclass
class BudgetTransducerConfig(BudgetRecognizerConfig):
    """Fields of ``model._name=budget_transducer``."""

    decoder_dim: int = field(default=512, metadata={"help": "width of the predictor"})
    joiner_dim: int = field(default=512, metadata={"help": "width of the joiner"})
    prune_range: int = field(
        default=PRUNE_RANGE, metadata={"help": "symbol positions that the joiner sees per frame"}
    )


@register_model("budget_transducer", dataclass=BudgetTransducerConfig)
class BudgetTransducerModel(BudgetRecognizer):
    """The losses are computed in forward(), where distributed wrappers see every parameter."""

    def __init__(self, cfg: BudgetTransducerConfig, vocab_size: int) -> None:
        super().__init__(cfg, vocab_size)
        self.prune_range = cfg.prune_range
        self.head = TransducerHead(
            self.encoder.config.output_dim,
            vocab_size,
            decoder_dim=cfg.decoder_dim,
            joiner_dim=cfg.joiner_dim,
        )

    def forward(
        self,
        source: Tensor,
        num_samples: Optional[Tensor] = None,
        padding_mask: Optional[Tensor] = None,
        symbols: Optional[Tensor] = None,
        num_symbols: Optional[Tensor] = None,
    ) -> Dict[str, Any]:
        """encoded (B, T, D), num_frames (B,), and both losses where symbols (B, S) are given."""
        out, lengths = self.encode_speech(source, num_samples, padding_mask)
        result: Dict[str, Any] = {"encoded": out.output, "num_frames": lengths}
        if symbols is not None:
            result["losses"] = self.head(
                out.output,
                symbols,
                num_frames=lengths,
                num_symbols=num_symbols,
                prune_range=self.prune_range,
            )
        return result

    def recognize(self, out: Dict[str, Any]) -> List[List[int]]:
        """The greedy symbols of what forward() returned."""
        return greedy_search(self.head, out["encoded"], out["num_frames"])
