"""A run that goes on beside its forecast: what its loss should be by now, and whether it is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from fairseq_budget.budget.parameters import num_encoder_parameters
from fairseq_budget.budget.schedule import TOLERANCE
from fairseq_budget.errors import BudgetError
from fairseq_budget.forecast.checks import differences
from fairseq_budget.forecast.planned import Forecast, read_forecast
from fairseq_budget.forecast.schedule import Expected, expected_at
from fairseq_budget.nn.config import EncoderConfig

NUM_OUTSIDE = 2  # validations in a row, on one side, after which it is told


class Running:
    """The forecast of one run; what it is found to be must be what was forecast.

    Raises BudgetError for a forecast of another objective, other conditions (see `Point`), a size
    that it does not have, or another budget.
    """

    def __init__(
        self, path: Path, *, objective: str, conditions: str, parameters: int, flops: float
    ) -> None:
        self._path, found = path, read_forecast(path)
        self._stages = found.stages
        if not found.stages:
            raise BudgetError(
                f"{path} does not say how losses fall on the way: its runs were not validated "
                "there (points in a .tsv hold no validations; --save FILE.json does)"
            )
        _require_same(found, objective, conditions, path)
        self._end = _end(found, path, parameters=parameters, flops=flops)
        self._outside = 0  # validations in a row, above (positive) or below (negative)

    def at(self, share: float) -> Expected | None:
        """What the objective's loss should be after a share of the updates; None: too early."""
        return expected_at(self._end, self._stages, share)

    def judge(self, loss: float, expected: Expected) -> str | None:
        """What is wrong after a validation, in words; None while nothing is."""
        side = (loss > expected.high) - (loss < expected.low)
        keeps_on = side * self._outside > 0
        self._outside = self._outside + side if keeps_on else side
        if abs(self._outside) < NUM_OUTSIDE:
            return None
        return (
            f"the validation loss is {loss:.4g}, {'above' if side > 0 else 'below'} the "
            f"{expected.low:.4g} to {expected.high:.4g} that {self._path} expects by now, for "
            f"{NUM_OUTSIDE} validations: likely {_CAUSES[side > 0]}"
        )

    @property
    def is_above(self) -> bool:
        """Whether the last validations were above."""
        return self._outside > 0


_CAUSES = {
    True: "a learning rate, a batch or a schedule that is not that of the pilot runs, or bad audio",
    False: "an easier validation set or training on it, or a schedule that decays earlier than "
    "that of the pilot runs",
}


def _require_same(found: Forecast, objective: str, conditions: str, path: Path) -> None:
    if objective != found.objective:
        raise BudgetError(f"{path} is for {found.objective}, this run trains {objective}")
    # points by hand have no conditions
    if found.conditions and (apart := differences(found.conditions, conditions)):
        raise BudgetError(
            f"{path} is for other runs than this one: they differ in {apart}; forecast it from "
            "runs of the same settings, data and labels"
        )


def expected_end(path: Path, *, objective: str, encoder: EncoderConfig, flops: float) -> Expected:
    """The loss with which a planned run is expected to end, of which no more is known than this.

    Raises BudgetError for a forecast of another objective, encoder or budget.
    """
    found, own = read_forecast(path), asdict(encoder.resolved())
    pairs = (condition.partition("=")[::2] for condition in found.conditions.split())
    conditions = (
        f"{name}={own.get(name.removeprefix('model.'), value)}"  # of what an encoder does not know
        for name, value in pairs
    )
    _require_same(found, objective, " ".join(conditions), path)
    return _end(found, path, parameters=num_encoder_parameters(encoder), flops=flops)


def _end(found: Forecast, path: Path, *, parameters: int, flops: float) -> Expected:
    """The end of the run of so many encoder parameters; BudgetError for another size or budget."""
    rows = [row for row in found.rows if row.parameters == parameters]
    if not rows:
        known = ", ".join(f"{row.size} ({row.parameters:,})" for row in found.rows)
        raise BudgetError(
            f"{path} has no size of {parameters:,} encoder parameters: it has {known}; make it "
            "again with --size SIZE,field=value,..."
        )
    if (expected := rows[0].expected) is None:
        raise BudgetError(f"{path} has no forecast of {rows[0].size}: {rows[0].refused}")
    if abs(flops / found.flops - 1) > TOLERANCE:
        raise BudgetError(
            f"{path} is for {found.flops:.4g} FLOPs, this run spends {flops:.4g}: make it "
            f"again with --flops {flops:.4g}"
        )
    return expected
