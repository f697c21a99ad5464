"""Runs that go wrong say so early: by sums that are logged anyway, looked at every 50 updates.

The gradients' norm stays where it was computed until then, so that no update waits for it.
"""

import logging
import math
from typing import Any, Callable, Dict, List, Optional, Tuple

from fairseq.logging import metrics

from fairseq_budget.errors import BudgetError

NUM_JUDGED = 50  # updates whose mean is looked at
NUM_SPARED = 500  # first updates, in which an objective may have found nothing yet

logger = logging.getLogger(__name__)

Means = Dict[str, float]


class Trouble:
    """Means over updates, of all processes alike, and what they say about a run.

    record: writes down the update that was looked at last, and says how to replay it.
    warmup_updates: of the rate, in whose first half an objective may have found nothing either.
    """

    def __init__(
        self, record: Callable[[str], str], *, stop: bool, warmup_updates: int = 0
    ) -> None:
        self._record = record
        self._stop = stop
        self._num_spared = max(NUM_SPARED, warmup_updates // 2)
        self._totals: Dict[str, Tuple[Any, Any]] = {}
        self._num_updates = 0
        self._lowest: Dict[str, float] = {}
        self._said: List[str] = []

    def add(self, logs: List[Dict[str, Any]], update: int, gradient_norm: Any) -> None:
        """Count an update (from 0) and the norm of its gradients; what is wrong is told once.

        Raises BudgetError in place of a warning if the run is to `stop`.
        """
        names = [name.removesuffix(".sum") for name in logs[0] if name.endswith(".sum")]
        pairs = {name: (f"{name}.sum", f"{name}.count") for name in names if name in _SIGNS}
        for name, keys in {"loss": ("loss", "sample_size"), **pairs}.items():
            self._count(name, *(sum(log[key] for log in logs) for key in keys))
        self._count("gradient", gradient_norm, 1)
        self._num_updates += 1
        if self._num_updates == NUM_JUDGED:
            self._judge(update + 1)

    def tell(self, name: str, words: str, *, may_stop: bool = True) -> None:
        """Tell what was found elsewhere, once for a name; it ends a run that is to `stop`."""
        if name not in self._said:
            self._said.append(name)
            self._tell(words, may_stop)

    def _count(self, name: str, total: Any, count: Any) -> None:
        old = self._totals.get(name, (0.0, 0.0))
        self._totals[name] = (old[0] + total, old[1] + count)

    def _judge(self, update: int) -> None:
        totals = {name: (float(a), float(b)) for name, (a, b) in self._totals.items()}
        means = {name: total / count for name, (total, count) in totals.items() if count}
        self._totals, self._num_updates = {}, 0
        found = {name: self._rising(name, means[name]) for name in _RISES if name in means}
        if update > self._num_spared:
            for name, (is_trouble, words) in _SIGNS.items():
                if name in means and is_trouble(means[name]):
                    found[name] = words.format(means[name])
        told = [words for name, words in found.items() if words and name not in self._said]
        self._said += [name for name, words in found.items() if words]
        if told:
            self._tell(f"updates {update - NUM_JUDGED + 1:,} to {update:,}: {'; '.join(told)}")

    def _rising(self, name: str, value: float) -> Optional[str]:
        rise, words = _RISES[name]
        lowest = self._lowest.get(name, math.inf)
        if value <= rise * lowest or lowest <= 0:
            self._lowest[name] = min(value, lowest)
            return None
        return (
            f"{words} {value / lowest:.1f} times what it was (it rose from {lowest:.4g} to "
            f"{value:.4g}): likely too high a rate (optimization.lr), too short a warm-up, or "
            "gradients without a bound (optimization.clip_norm)"
        )

    def _tell(self, words: str, may_stop: bool = True) -> None:
        how = self._record(words)
        if self._stop and may_stop:
            raise BudgetError(f"{words}. The run ends, as task.on_trouble=stop asks{how}")
        would = ". task.on_trouble=stop would end the run" if may_stop else ""
        logger.warning(f"{words}{would}{how}")


def gradient_norm() -> Any:
    """Of the update that has just been made, where it was computed; 0 where fairseq logs none."""
    meter = metrics.get_meter("train", "gnorm")
    return 0.0 if meter is None or meter.val is None else meter.val


# times the lowest mean of before, and how the words begin
_RISES = {"loss": (3.0, "the loss is"), "gradient": (100.0, "the norm of the gradients is")}

_SIGNS: Dict[str, Tuple[Callable[[float], bool], str]] = {  # what is trouble, and its words
    "output_spread": (
        lambda share: share <= 1e-4,
        "the encoder gives the same output whatever it hears (output_spread is {:.1e}): likely "
        "silent audio, too high a rate (optimization.lr), or post-norm layers that need a longer "
        "warm-up",
    ),
    "unexplained": (
        lambda share: share >= 0.99,
        "what is rebuilt is no nearer to what was masked than the mean of all frames is "
        "({:.1%} of their distance from it is left): likely too high a rate (optimization.lr), or "
        "silent audio",
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
