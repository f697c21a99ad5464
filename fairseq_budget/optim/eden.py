"""Eden: a learning rate that decays with updates and with epochs, and never ends.

"Zipformer: a faster and better encoder for automatic speech recognition" (Yao et al., ICLR 2024),
section on optimizers:

    lr = base * ((b^2 + B^2) / B^2)^(-1/4) * ((e^2 + E^2) / E^2)^(-1/4) * warm-up

with b updates and e epochs, of which B and E are enough for the rate to begin to fall. Unlike a
polynomial decay it needs no total, so a run can be prolonged.
"""

from __future__ import annotations

from dataclasses import dataclass

from fairseq_budget.errors import BudgetError


@dataclass(frozen=True)
class Eden:
    """The constants of a schedule; the defaults are those of k2SSL's pre-training.

    lr_updates, lr_epochs: B and E. lr_epochs=None leaves the epochs out and takes the updates to
    the power -1/2 (icefall's Eden2): for corpora so small that an epoch is a matter of seconds.
    The warm-up is linear from ``warmup_start`` to 1 over ``warmup_updates``.
    """

    lr_updates: float = 7500
    lr_epochs: float | None = 10.5
    warmup_updates: int = 5000
    warmup_start: float = 0.0

    def __post_init__(self) -> None:
        for name in ("lr_updates", "lr_epochs"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise BudgetError(f"{name}={value}: expected more than 0, e.g. {_EXAMPLES[name]}")
        if not 0 <= self.warmup_start <= 1:
            raise BudgetError(f"warmup_start={self.warmup_start}: expected from 0 to 1")

    def factor(self, update: int, epoch: float) -> float:
        """The factor of the base rate.

        update: the one that is about to be made, counted from 1; real updates, however much audio
        is in one (the recipe's "adjusted" count is for schedules inside the encoder). epoch: those
        that are behind, so 0 during the first.
        """
        by_update = (update / self.lr_updates) ** 2 + 1
        if self.lr_epochs is None:
            return self._warmup(update) * by_update**-0.5
        by_epoch = (epoch / self.lr_epochs) ** 2 + 1
        return self._warmup(update) * by_update**-0.25 * by_epoch**-0.25

    def _warmup(self, update: int) -> float:
        if update >= self.warmup_updates:
            return 1.0
        return self.warmup_start + (1 - self.warmup_start) * update / self.warmup_updates


_EXAMPLES = {"lr_updates": 7500, "lr_epochs": 10.5}
