"""Criterions of speech recognition: CTC and the pruned transducer, with word errors.

Batches hold ``target`` (B, S) and ``target_lengths``, as in fairseq's ``audio_finetuning``. The
sample size is the number of symbols. Losses are logged in nats per symbol. An utterance of more
symbols than frames has no alignment, and adds nothing to the loss: ``explained`` is the share of
symbols in utterances that have one. ``wer`` is the greedy word error rate of validation, errors
over words of the whole set.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
from fairseq.criterions import register_criterion
from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from fairseq_budget.asr.ctc import ctc_loss
from fairseq_budget.asr.predictor import loss_weights
from fairseq_budget.criterions._base import BudgetCriterion
from fairseq_budget.losses import LossTerm
from fairseq_budget.text.wer import spell, word_errors

Weighted = Tuple[float, LossTerm]


class BudgetRecognitionCriterion(BudgetCriterion):
    """Subclasses name their losses and weigh them."""

    what_counts = "the symbols were in utterances that an alignment explains"
    cure = (
        "the others have more symbols than frames; check that transcripts belong to their audio, "
        "or give more frames (model.subsample=none or a lower model.subsample_rate) or fewer "
        "symbols (word pieces: `budget-asr prepare --word-pieces 500`)"
    )

    def terms(self, model: Any, out: Dict[str, Any], batch: Dict[str, Any]) -> Dict[str, Weighted]:
        raise NotImplementedError

    def forward(
        self, model: Any, sample: Dict[str, Any], reduce: bool = True
    ) -> Tuple[Tensor, int, Dict[str, Any]]:
        symbols = {"symbols": sample["target"], "num_symbols": sample["target_lengths"]}
        out = model(**sample["net_input"], **symbols)
        terms = self.terms(model, out, symbols)
        losses = [weight * term.sum for weight, term in terms.values()]
        loss, size = torch.stack(losses).sum(), sample["ntokens"]
        log = {
            "loss": loss.detach(),
            "sample_size": size,
            "nsentences": len(sample["target"]),
            "ntokens": size,
        }
        for name, (_, term) in terms.items():
            log[f"{name}.sum"], log[f"{name}.count"] = term.sum.detach(), term.count
            log["explained.sum"], log["explained.count"] = term.count, size  # of the last loss
            log["num_counted"], log["num_heard"] = term.count, size
        if not model.training:
            pairs = zip(sample["target"].tolist(), sample["target_lengths"].tolist(), strict=True)
            references = [row[:length] for row, length in pairs]
            found = word_errors(self.words(references), self.words(model.recognize(out)))
            log["wer.sum"], log["wer.count"] = found.num_errors, found.num_words
        return loss, size, log

    def words(self, rows: List[List[int]]) -> List[str]:
        """The text of each row of symbols, a blank between two words."""
        dictionary = self.task.target_dictionary
        return [spell(dictionary[symbol] for symbol in row) for row in rows]


@register_criterion("budget_ctc", dataclass=FairseqDataclass)
class BudgetCtcCriterion(BudgetRecognitionCriterion):
    """Connectionist temporal classification."""

    def terms(self, model: Any, out: Dict[str, Any], batch: Dict[str, Any]) -> Dict[str, Weighted]:
        return {"ctc": (1.0, ctc_loss(out["logits"], num_frames=out["num_frames"], **batch))}


@dataclass
class BudgetTransducerCriterionConfig(FairseqDataclass):
    """Fields of ``criterion._name=budget_transducer``."""

    simple_warmup_updates: int = field(
        default=2000,
        metadata={"help": "updates in which the weight goes from the simple to the pruned loss"},
    )


@register_criterion("budget_transducer", dataclass=BudgetTransducerCriterionConfig)
class BudgetTransducerCriterion(BudgetRecognitionCriterion):
    """The pruned transducer, warmed up on its simple loss."""

    def terms(self, model: Any, out: Dict[str, Any], batch: Dict[str, Any]) -> Dict[str, Weighted]:
        simple, pruned = loss_weights(model.num_updates, self.cfg.simple_warmup_updates)
        losses = out["losses"]
        return {"simple": (simple, losses.simple), "pruned": (pruned, losses.pruned)}
