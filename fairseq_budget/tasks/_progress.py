"""What a run has heard and spent, and what is left: through interruptions, over all workers."""

import time
from typing import Any, Dict, List, Optional, Tuple

from fairseq.logging import metrics

from fairseq_budget.meter import BudgetMeter

# digits after the point; FLOPs are shown as 1.33e+18
_DIGITS = {"flops": 0, "flop_per_s": 0}


class Progress:
    """Logs audio_hours, flops, flop_per_s, share_of_peak, budget_left_hours and eta_hours.

    fairseq restores meters when it resumes, not task states; so the counts are taken up from the
    meters. Values are logged with weight 0, which shows the latest one and not an average.
    """

    def __init__(self, meter: BudgetMeter, max_update: int) -> None:
        self.meter = meter
        self.max_update = max_update
        self.audio_hours = 0.0
        self._clock: Optional[Tuple[int, float]] = None  # this process' first (update, time)

    def restore(self) -> None:
        hours, flops = (metrics.get_meter("default", key) for key in ("audio_hours", "flops"))
        if hours is not None and flops is not None:
            self.audio_hours = float(hours.val)
            self.meter.flops = float(flops.val)

    def add(self, logging_outputs: List[Dict[str, Any]], update: int) -> None:
        """Count an update that has just ended, from the logs of all workers and micro-batches."""
        self.audio_hours += float(sum(log["audio_seconds"] for log in logging_outputs)) / 3600
        self.meter.add(float(sum(log["flops"] for log in logging_outputs)))
        values = {
            "audio_hours": self.audio_hours,
            "flops": self.meter.flops,
            "flop_per_s": self.meter.flops_per_second,
            "share_of_peak": self.meter.share_of_peak,
            "budget_left_hours": self.meter.hours_left,
            "eta_hours": self._hours_left(update),
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
