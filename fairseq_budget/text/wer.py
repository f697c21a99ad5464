"""Words that symbols spell, and word error rate as counts that add up over corpora.

The alignment is jiwer's (extra ``asr``): substitutions, deletions and insertions of the cheapest
edit of the reference's words. Words are what blanks separate; nothing is lower-cased or removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fairseq_budget.errors import BudgetError

_WORD_BOUNDARIES = str.maketrans("|▁", "  ")  # letters: after a word; word pieces: before it


def spell(symbols: Iterable[str]) -> str:
    """The words of letters or word pieces, a blank between two.

    >>> spell("t h e | d o g |".split()), spell(["▁the", "▁do", "g"])
    ('the dog', 'the dog')
    """
    return " ".join("".join(symbols).translate(_WORD_BOUNDARIES).split())


@dataclass(frozen=True)
class WordErrors:
    """Errors and words of the reference; ``+`` joins corpora."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    num_words: int = 0

    @property
    def num_errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per word of the reference: 0 is perfect, insertions can take it above 1."""
        if not self.num_words:
            raise BudgetError("the references hold no word: a word error rate needs one at least")
        return self.num_errors / self.num_words

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.num_words + other.num_words,
        )


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> WordErrors:
    """Errors of hypotheses against references, utterance by utterance.

    Raises BudgetError when their numbers differ, or jiwer is not installed.
    """
    if len(references) != len(hypotheses):
        raise BudgetError(
            f"{len(references)} references but {len(hypotheses)} hypotheses: each utterance needs "
            "one of both, in the same order"
        )
    if not references:
        return WordErrors()
    try:
        import jiwer
    except ImportError as error:
        raise BudgetError("word errors need jiwer: pip install 'fairseq_budget[asr]'") from error
    found = jiwer.process_words(list(references), list(hypotheses))
    return WordErrors(
        found.substitutions,
        found.deletions,
        found.insertions,
        found.hits + found.substitutions + found.deletions,
    )
