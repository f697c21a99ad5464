"""Progress of a run: audio heard, FLOPs spent and left, through interruptions, of all workers."""

import logging
import time
from typing import Any, Dict, List, Optional, Tuple

from fairseq.logging import metrics

from fairseq_budget.budget.meter import BudgetMeter

# digits after the point; FLOPs are shown as 1.33e+18
_DIGITS = {"flops": 0, "flop_per_s": 0, "bad_audio": 0}


MAX_WAIT = 0.2
"""A larger share of time without data is warned of, once it has lasted for `NUM_JUDGED` updates."""
NUM_JUDGED = 200

logger = logging.getLogger(__name__)


class Progress:
    """Logs what is heard, spent, left and lost.

    That is audio_hours; flops; budget_left_hours and eta_hours; flop_per_s, share_of_peak,
    data_wait (the share of time without data) and bad_audio. Values are logged with weight 0,
    which shows the latest one and not an average.
    """

    def __init__(self, meter: BudgetMeter, max_update: int) -> None:
        self.meter = meter
        self.max_update = max_update
        self.audio_hours = 0.0
        self._data_wait = _DataWait()
        self._clock: Optional[Tuple[int, float]] = None  # this process' first (update, time)

    def state_dict(self) -> Dict[str, float]:
        return {"audio_hours": self.audio_hours, "flops": self.meter.flops}

    def load_state_dict(self, state: Dict[str, float]) -> None:
        self.audio_hours, self.meter.flops = float(state["audio_hours"]), float(state["flops"])

    def add(
        self,
        logging_outputs: List[Dict[str, Any]],
        update: int,
        *,
        bad_audio: int = 0,
        waited_s: float = 0.0,
    ) -> None:
        """Count an update that has just ended, from the logs of all workers and micro-batches.

        bad_audio utterances were replaced since the run began, and waited_s seconds passed waiting
        for data since this process did.
        """
        self._data_wait.add(waited_s)
        self.audio_hours += float(sum(log["audio_seconds"] for log in logging_outputs)) / 3600
        self.meter.add(float(sum(log["flops"] for log in logging_outputs)))
        values = {
            "audio_hours": self.audio_hours,
            "flops": self.meter.flops,
            "flop_per_s": self.meter.flops_per_second,
            "share_of_peak": self.meter.share_of_peak,
            "budget_left_hours": self.meter.hours_left,
            "eta_hours": self._hours_left(update),
            "bad_audio": bad_audio,
        }
        for priority, (name, value) in enumerate(values.items(), start=900):
            if value is not None:
                metrics.log_scalar(
                    name, value, weight=0, priority=priority, round=_DIGITS.get(name, 4)
                )

    def _hours_left(self, update: int) -> Optional[float]:
        if self._clock is None:  # the first update pays for start-up: measure from its end
            self._clock = (update, time.monotonic())
        first, since = self._clock
        if self.max_update <= 0 or update == first:
            return None
        seconds_per_update = (time.monotonic() - since) / (update - first)
        return seconds_per_update * max(0, self.max_update - update - 1) / 3600


class _DataWait:
    """The share of time that training stands still for want of data: logged, and warned of."""

    def __init__(self) -> None:
        self._num_updates = 0
        self._warned = False
        self._last: Optional[Tuple[float, float]] = None  # the last update's end, waited_s then
        self._since: Tuple[float, float] = (0.0, 0.0)  # the same of the first update to be judged

    def add(self, waited_s: float) -> None:
        """Count an update that ends now, after waited_s seconds of waiting since the start."""
        now = (time.monotonic(), waited_s)
        if self._last is None:
            self._since = now
        else:
            share, seconds = _share(self._last, now)
            metrics.log_scalar("data_wait", share, weight=seconds, priority=910, round=3)
            self._judge(now)
        self._last = now

    def _judge(self, now: Tuple[float, float]) -> None:
        self._num_updates += 1
        if self._num_updates % NUM_JUDGED:
            return
        share, _ = _share(self._since, now)
        self._since = now
        if share > MAX_WAIT and not self._warned:
            self._warned = True
            logger.warning(
                f"training waited for data {share:.0%} of the time in {NUM_JUDGED} updates "
                "(data_wait): raise dataset.num_workers (-1 takes the cores of this machine), put "
                "the audio on a faster disk, or write it as flac or wav (budget-manifest "
                "--resample-to)"
            )


def _share(before: Tuple[float, float], now: Tuple[float, float]) -> Tuple[float, float]:
    """Share of waiting between two updates, and the seconds between them."""
    seconds = now[0] - before[0]
    return (now[1] - before[1]) / max(seconds, 1e-9), seconds
