"""How much of what a run hears counts in its loss: little is warned of, nothing is refused."""

import logging

from fairseq_budget.errors import BudgetError

NUM_JUDGED = 200
"""Updates after which a run is judged, if its epoch does not end before."""
MIN_SHARE = 0.9

logger = logging.getLogger(__name__)


class Counted:
    """Counts of all processes alike, so that all of them stop."""

    def __init__(self) -> None:
        self._warned = False
        self._num_updates = 0
        self._num_counted = self._num_heard = 0.0
        self._what = self._cure = ""

    def add(self, num_counted: float, num_heard: float, *, what: str, cure: str) -> None:
        """Of an update; ``what`` of it counts, and what to do if too little does."""
        self._what, self._cure = what, cure
        self._num_updates += 1
        self._num_counted += num_counted
        self._num_heard += num_heard
        if self._num_updates == NUM_JUDGED:
            self.judge()

    def judge(self) -> None:
        """Raise BudgetError if nothing has counted since the last time; warn of little, once."""
        if not self._num_heard:
            return
        share = self._num_counted / self._num_heard
        words = f"in {self._num_updates} updates {share:.1%} of {self._what}: {self._cure}"
        self._num_updates, self._num_counted, self._num_heard = 0, 0.0, 0.0
        if not share:
            raise BudgetError(f"nothing is learned: {words}")
        if share < MIN_SHARE and not self._warned:
            self._warned = True
            logger.warning(words)
