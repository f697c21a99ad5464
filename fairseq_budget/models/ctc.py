"""CTC fine-tuning: a linear layer over letters (or word pieces) on a pre-trained encoder."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_budget.asr.ctc import greedy_ctc
from fairseq_budget.models._recognizer import BudgetRecognizer, BudgetRecognizerConfig


@dataclass
class BudgetCtcConfig(BudgetRecognizerConfig):
    """Fields of ``model._name=budget_ctc``."""

    final_dropout: float = field(default=0.1, metadata={"help": "dropout before the letters"})


@register_model("budget_ctc", dataclass=BudgetCtcConfig)
class BudgetCtcModel(BudgetRecognizer):
    """Dropout and one linear layer; its parameters have the names of k2SSL's recipe."""

    def __init__(self, cfg: BudgetCtcConfig, vocab_size: int) -> None:
        super().__init__(cfg, vocab_size)
        dim = self.encoder.config.output_dim
        self.ctc_output = nn.Sequential(nn.Dropout(cfg.final_dropout), nn.Linear(dim, vocab_size))

    def forward(
        self,
        source: Tensor,
        num_samples: Optional[Tensor] = None,
        padding_mask: Optional[Tensor] = None,
        **unused: Any,
    ) -> Dict[str, Tensor]:
        """source (B, S) -> logits (B, T, V) and num_frames (B,)."""
        out, lengths = self.encode_speech(source, num_samples, padding_mask)
        return {"logits": self.ctc_output(out.output), "num_frames": lengths}

    def recognize(self, out: Dict[str, Tensor]) -> List[List[int]]:
        """The greedy symbols of what forward() returned."""
        return greedy_ctc(out["logits"], out["num_frames"])
