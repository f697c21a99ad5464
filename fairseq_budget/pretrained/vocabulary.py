"""The meaning of a recogniser's classes, as its checkpoints and exports hold it.

Fine-tuning puts it into the state of its task, so that a model is read and heard without the
folder that it learned from, and no other dictionary gives its classes other letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fairseq_budget.structured import conform

VOCABULARY = "vocabulary"  # of checkpoints, in their task's state
SPECIAL_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>")  # fairseq's, of which <s> is the blank
WORD_END = "|"
CTC, TRANSDUCER = "budget_ctc", "budget_transducer"  # the recognisers
CTC_HEAD = "ctc_output.1."  # its linear layer


@dataclass(frozen=True)
class Vocabulary:
    """`symbols` of every class, fairseq's four first; `blank` is CTC's and the transducer's class.

    ValueError for a symbol that stands there twice, and a blank that is none of them.

    `word_pieces` is the sentencepiece model that cut the transcripts; None where they are letters.
    """

    symbols: list[str]
    blank: int = 0
    word_pieces: bytes | None = None

    def __post_init__(self) -> None:
        if len(set(self.symbols)) < len(self.symbols):
            raise ValueError("a symbol of the vocabulary stands there twice")
        if not 0 <= self.blank < len(self.symbols):
            raise ValueError(f"the blank is {self.blank}, none of {len(self.symbols)} symbols")

    def state_dict(self) -> dict[str, Any]:
        return {VOCABULARY: asdict(self)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Vocabulary | None:
        """Out of a task's state; None where it holds none, as of older checkpoints.

        Raises ValueError for one that is not as `state_dict` made it.
        """
        return conform(state[VOCABULARY], cls, VOCABULARY) if VOCABULARY in state else None
