"""Runs that go wrong say so early: by sums that are logged anyway, looked at every 50 updates.

Sums stay where they were computed until then, so that no update waits for the device.
"""

import logging
import math
from typing import Any, Callable, Dict, List, Optional, Tuple

from fairseq_budget.errors import BudgetError

NUM_JUDGED = 50  # updates whose mean is looked at
NUM_SPARED = 500  # first updates, in which an objective may have found nothing yet
RISE = 3.0  # times the lowest mean loss

logger = logging.getLogger(__name__)

Means = Dict[str, float]


class Trouble:
    """Means over updates, of all processes alike, and what they say about a run."""

    def __init__(self, *, stop: bool) -> None:
        self._stop = stop
        self._totals: Dict[str, Tuple[Any, Any]] = {}
        self._num_updates = 0
        self._lowest = math.inf
        self._said: List[str] = []

    def add(self, logs: List[Dict[str, Any]], update: int) -> None:
        """Count the logs of an update. Raises BudgetError for trouble if the run is to `stop`."""
        names = [name.removesuffix(".sum") for name in logs[0] if name.endswith(".sum")]
        pairs = {name: (f"{name}.sum", f"{name}.count") for name in names if name in _SIGNS}
        for name, keys in {"loss": ("loss", "sample_size"), **pairs}.items():
            old = self._totals.get(name, (0.0, 0.0))
            added = [sum(log[key] for log in logs) for key in keys]
            self._totals[name] = (old[0] + added[0], old[1] + added[1])
        self._num_updates += 1
        if self._num_updates == NUM_JUDGED:
            self._judge(update + 1)

    def _judge(self, update: int) -> None:
        totals = {name: (float(a), float(b)) for name, (a, b) in self._totals.items()}
        means = {name: total / count for name, (total, count) in totals.items() if count}
        self._totals, self._num_updates = {}, 0
        found = {"loss": self._rising(means.get("loss", 0.0))}
        if update > NUM_SPARED:
            for name, (is_trouble, words) in _SIGNS.items():
                if name in means and is_trouble(means[name]):
                    found[name] = words.format(means[name])
        for name, told in found.items():
            if told and name not in self._said:
                self._said.append(name)
                self._tell(f"updates {update - NUM_JUDGED + 1:,} to {update:,}: {told}")

    def _rising(self, loss: float) -> Optional[str]:
        if loss <= RISE * self._lowest or self._lowest <= 0:
            self._lowest = min(loss, self._lowest)
            return None
        return (
            f"the loss is {loss / self._lowest:.1f} times what it was (it rose from "
            f"{self._lowest:.4g} to {loss:.4g}): likely too high a rate (optimization.lr), too "
            "short a warm-up, or gradients without a bound (optimization.clip_norm)"
        )

    def _tell(self, words: str) -> None:
        if self._stop:
            raise BudgetError(f"{words}. The run ends, as task.on_trouble=stop asks")
        logger.warning(f"{words}. task.on_trouble=stop would end the run")


_SIGNS: Dict[str, Tuple[Callable[[float], bool], str]] = {  # what is trouble, and its words
    "output_spread": (
        lambda share: share <= 1e-4,
        "the encoder gives the same output whatever it hears (output_spread is {:.1e}): likely "
        "silent audio, too high a rate (optimization.lr), or post-norm layers that need a longer "
        "warm-up",
    ),
    "top_class": (
        lambda share: share >= 0.995,
        "one cluster is predicted always (for {:.1%} of hidden frames): likely too high a rate "
        "(optimization.lr), or labels in which one cluster is most of all",
    ),
    "top_label": (
        lambda share: share >= 0.9,
        "one cluster is nearly all there is to learn ({:.1%} of hidden frames): likely silent "
        "audio, or labels of another corpus; budget-labels make shows their entropy",
    ),
    "code_perplexity": (
        lambda perplexity: perplexity <= 4,  # of all groups together, of which there are two
        "the codebooks have collapsed (code_perplexity is {:.1f}): likely too low a "
        "criterion.diversity_weight, or too high a rate (optimization.lr)",
    ),
}
