"""Validations beside guessing: `unexplained`, a loss over that of one who hears nothing."""

from functools import cached_property
from math import log
from typing import Any, Dict, Optional, Sequence

from fairseq_budget.corpus.labels import Labels
from fairseq_budget.report.curve import UNEXPLAINED


class Guessing:
    """Of HuBERT by the shares of the split's labels, of wav2vec 2.0 among equal candidates.

    TERA logs its own, beside the mean frame of a batch.
    """

    def __init__(self, labels: Sequence[Labels], num_negatives: Optional[int]) -> None:
        self._labels, self._num_negatives = labels, num_negatives

    @cached_property
    def _label_loss(self) -> float:
        """In nats; of several sets, whose losses are summed, their sum."""
        return log(2) * sum(labels.entropy_bits() for labels in self._labels)

    def add(self, stats: Dict[str, Any]) -> None:
        """Add it to the log of a validation; nothing where there is no such level."""
        guessed = 0.0
        if "masked_prediction" in stats and self._labels:
            loss, guessed = stats["masked_prediction"], self._label_loss
        elif "contrastive" in stats and self._num_negatives:
            loss, guessed = stats["contrastive"], log(1 + self._num_negatives)
        if guessed:
            stats[UNEXPLAINED] = round(loss / guessed, 4)
