"""Arguments that subcommands of ``budget-report`` share."""

from __future__ import annotations

from fairseq_budget.cli.later import imported_later
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.corpus.corpus import Corpus


def require_utterance(corpus: Corpus, index: int) -> None:
    """Raise BudgetError unless `--utterance` is one of the corpus."""
    if not 0 <= index < len(corpus):
        raise BudgetError(f"--utterance {index}: {corpus.path} has 0 to {len(corpus) - 1}")
