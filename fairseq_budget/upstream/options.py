"""Options of ``budget_upstream``, in ``-g FILE`` (``model_config`` in Python)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fairseq_budget.errors import BudgetError
from fairseq_budget.structured import read_yaml

MAX_RATE = 50  # one frame a second


@dataclass(frozen=True)
class Options:
    """The keys of the file, and what they do.

    untrained: a seed; the same architecture with fresh weights, the control of every table.
    output_subsample, output_subsample_rate: 'average' or 'concat' of every so many frames of every
    layer of a finished model ("On Compressing Sequences", Table 1).
    sequence: 'frames', 20 ms each, or 'segments', the short sequence of a model that subsamples:
    another protocol than SUPERB's, for `run_downstream.py` only.
    segments: a folder with manifests and their segmentations, for a model that was trained on
    given ones; segments_name: their name.
    cache_gib: memory for the hidden states of utterances that a frozen model has heard before; 0
    computes all of them again in each epoch. Models that subsample, and options that do, have none.
    cache_folder: a folder for them in place of memory, in half precision, for all runs to come;
    cache_gib are then the room that it may take.
    """

    untrained: int | None = None
    output_subsample: str | None = None
    output_subsample_rate: int = 2
    sequence: str = "frames"
    segments: str | None = None
    segments_name: str = "seg"
    cache_gib: float = 1.0
    cache_folder: str | None = None

    def __post_init__(self) -> None:
        self._check("untrained", self.untrained is None or _is_int(self.untrained), "a seed")
        kinds = (None, "average", "concat")
        self._check("output_subsample", self.output_subsample in kinds, "average or concat")
        rate = self.output_subsample_rate
        wanted = f"frames to join, 1 to {MAX_RATE}"
        self._check("output_subsample_rate", _is_int(rate) and 1 <= rate <= MAX_RATE, wanted)
        self._check("sequence", self.sequence in ("frames", "segments"), "frames or segments")
        together = self.sequence == "frames" or self.output_subsample is None
        self._check("output_subsample", together, "none, beside sequence: segments")
        is_size = isinstance(self.cache_gib, int | float) and 0 <= self.cache_gib < float("inf")
        self._check("cache_gib", is_size, "a number of GiB, from 0")

    def _check(self, name: str, fine: bool, expected: str) -> None:
        if not fine:
            raise BudgetError(f"-g: {name}: {getattr(self, name)!r}: expected {expected}")

    @property
    def rate(self) -> int:
        """Frames of 20 ms in one of the output."""
        return self.output_subsample_rate if self.output_subsample else 1


def read_options(model_config: Any) -> Options:
    """The options in a mapping or in a YAML or JSON file; none for None. BudgetError if unknown."""
    values = {} if model_config is None else model_config
    if isinstance(values, str | Path):
        path = Path(values)
        if not path.is_file():
            raise BudgetError(f"-g {path}: no such file; expected YAML such as 'untrained: 1'")
        try:
            values = read_yaml(path, dict)
        except (OSError, ValueError) as error:
            raise BudgetError(
                f"-g {path}: {error}; expected YAML such as 'untrained: 1'"
            ) from error
    known = [field.name for field in fields(Options)]
    if not isinstance(values, dict) or set(values) - set(known):
        raise BudgetError(f"-g {values!r}: expected some of the keys {', '.join(known)}")
    return Options(**values)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
