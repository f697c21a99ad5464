"""Audio that cannot be read in the middle of a run: named, counted, and too much of it refused."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from fairseq_budget.audio.bad_share import are_too_many, listed
from fairseq_budget.errors import BudgetError

logger = logging.getLogger(__name__)


class BadAudio:
    """Bad files that this process has found, and the number of all processes' bad utterances."""

    def __init__(self, max_share: float) -> None:
        self.max_share = max_share
        self.num_bad = 0
        self.num_heard = 0
        self._found: dict[str, None] = {}  # in order, each once

    def state_dict(self) -> dict[str, int]:
        return {"num_bad_audio": self.num_bad, "num_utterances": self.num_heard}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.num_bad, self.num_heard = state["num_bad_audio"], state["num_utterances"]

    def name(self, reasons: Iterable[str]) -> None:
        """Log the reasons that are new; each names its file."""
        for reason in reasons:
            if reason not in self._found:
                self._found[reason] = None
                logger.warning(f"bad audio, another utterance takes its place: {reason}")

    def count(self, num_bad: int, num_heard: int) -> None:
        """Add the counts of an update over all processes.

        Raises BudgetError, in every process alike, once more than `max_share` of the utterances
        heard by this run were bad.
        """
        self.num_bad += num_bad
        self.num_heard += num_heard
        if not are_too_many(self.num_bad, self.num_heard, self.max_share):
            return
        raise BudgetError(
            f"{self.num_bad} of {self.num_heard} utterances were bad audio, more than "
            f"task.max_bad_share={self.max_share:g}: restore the files, or write the manifest "
            f"again without them; {len(self._found)} were found by this process:"
            f"{listed(self._found)}"
        )
