"""The meter: FLOPs really spent in training, how fast, and what is left of a budget.

Counts the one formula (flops.py) on the true lengths of every batch, summed over all workers by
the caller; so it agrees with the planner, and with itself after an interruption.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class BudgetMeter:
    """FLOPs and seconds of a run, through all its processes; a rate since this one began.

    budget_flops: None or 0 for no limit. peak_flops: of one device, measured, or None;
    num_devices share the work. The rate leaves out the first update, which pays for start-up, and
    includes validation and saving, so that the hours left are hours on the clock.
    """

    def __init__(
        self,
        *,
        budget_flops: float | None = None,
        peak_flops: float | None = None,
        num_devices: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.flops = 0.0
        self.seconds = 0.0
        self.budget_flops = budget_flops or None
        self._peak = peak_flops * num_devices if peak_flops else None
        self._clock = clock
        self._last: float | None = None  # when the last update of this process ended
        self._timed_flops = self._timed_seconds = 0.0

    def add(self, flops: float) -> None:
        """Count an update that has just ended; ``flops`` of all workers and accumulation steps."""
        now = self._clock()
        self.flops += flops
        if self._last is not None:
            self.seconds += now - self._last
            self._timed_seconds += now - self._last
            self._timed_flops += flops
        self._last = now

    @property
    def exhausted(self) -> bool:
        """Whether the budget is spent: true from the update on that reaches it."""
        return self.budget_flops is not None and self.flops >= self.budget_flops

    @property
    def flops_per_second(self) -> float | None:
        """Achieved by all devices since this process' first update; None before its second."""
        return self._timed_flops / self._timed_seconds if self._timed_seconds else None

    @property
    def share_of_peak(self) -> float | None:
        """Achieved over measured peak (model FLOPs utilisation); None where either is unknown."""
        rate = self.flops_per_second
        return None if rate is None or self._peak is None else rate / self._peak

    @property
    def hours_left(self) -> float | None:
        """Until the budget is spent, at the rate achieved so far."""
        rate = self.flops_per_second
        if not rate or self.budget_flops is None:
            return None
        return max(0.0, self.budget_flops - self.flops) / rate / 3600

    def state_dict(self) -> dict[str, float]:
        """Plain numbers that a resumed run needs."""
        return {"flops": self.flops, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.flops, self.seconds = float(state["flops"]), float(state["seconds"])
