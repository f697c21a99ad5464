"""What a run has heard and spent, and what is left: through interruptions, over all workers."""

import time
from typing import Any, Dict, List, Optional, Tuple

from fairseq.logging import metrics

from fairseq_budget.meter import BudgetMeter

# digits after the point; FLOPs are shown as 1.33e+18
_DIGITS = {"flops": 0, "flop_per_s": 0, "bad_audio": 0}


class Progress:
    """Logs what is heard (audio_hours), spent (flops), left (budget_left_hours, eta_hours) and lost
    (flop_per_s, share_of_peak; data_wait, the share of time without data; bad_audio).

    fairseq restores meters when it resumes, not task states; so the counts are taken up from the
    meters. Values are logged with weight 0, which shows the latest one and not an average.
    """

    def __init__(self, meter: BudgetMeter, max_update: int) -> None:
        self.meter = meter
        self.max_update = max_update
        self.audio_hours = 0.0
        self._waits: Optional[Tuple[float, float]] = None  # the last update's end, waited_s then
        self._clock: Optional[Tuple[int, float]] = None  # this process' first (update, time)

    def restore(self) -> None:
        hours, flops = (metrics.get_meter("default", key) for key in ("audio_hours", "flops"))
        if hours is not None and flops is not None:
            self.audio_hours = float(hours.val)
            self.meter.flops = float(flops.val)

    def add(
        self,
        logging_outputs: List[Dict[str, Any]],
        update: int,
        *,
        bad_audio: int = 0,
        waited_s: float = 0.0,
    ) -> None:
        """Count an update that has just ended, from the logs of all workers and micro-batches.

        bad_audio utterances were replaced and waited_s seconds passed waiting for data until now,
        both since this process began.
        """
        self._log_wait(waited_s)
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

    def _log_wait(self, waited_s: float) -> None:
        """The share of time that training stood still for want of data since the last update."""
        now = time.monotonic()
        if self._waits is not None:
            before, waited_before = self._waits
            seconds = now - before
            share = (waited_s - waited_before) / max(seconds, 1e-9)
            metrics.log_scalar("data_wait", share, weight=seconds, priority=910, round=3)
        self._waits = (now, waited_s)

    def _hours_left(self, update: int) -> Optional[float]:
        if self._clock is None:  # the first update pays for start-up: measure from its end
            self._clock = (update, time.monotonic())
        first, since = self._clock
        if self.max_update <= 0 or update == first:
            return None
        seconds_per_update = (time.monotonic() - since) / (update - first)
        return seconds_per_update * max(0, self.max_update - update - 1) / 3600
