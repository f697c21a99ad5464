"""What a check of gpu_card.py is, and how it compares the device with the CPU.

A check yields rows, which become a table; one whose ``ok`` is False fails the check. Packages are
imported inside, so that a check without its package costs only itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.nn.config import EncoderConfig

Row = dict[str, Any]
Run = Callable[["Options"], Iterator[Row]]

# Relative errors (L2 norm of the difference) that rounding owes. fp32 is TF32 in convolutions.
ALLOWED = {"fp32": 0.01, "fp16": 0.02, "bf16": 0.1}


@dataclass(frozen=True)
class Options:
    """What the checks run on: ``cuda`` or ``cpu``; tiny sizes or not; in a folder of their own."""

    device: str
    small: bool
    precisions: list[str]
    folder: Path


@dataclass(frozen=True)
class Check:
    """What is run, and the seconds that it may take."""

    run: Run
    limit_s: float


class Skipped(Exception):  # noqa: N818
    """Raised by a check that has nothing to do here, with the reason."""


CHECKS: dict[str, Check] = {}


def check(name: str, limit_s: float = 45.0) -> Callable[[Run], Run]:
    """Register a check under a name that says what it is of; they run in the order of the lines."""

    def register(run: Run) -> Run:
        CHECKS[name] = Check(run, limit_s)
        return run

    return register


def compared(what: str, found: Any, expected: Any, allowed: float) -> Row:
    """A row of one number or tensor on the device and on the CPU; tensors show their rms."""
    found, expected = (
        torch.as_tensor(x).detach().cpu().double().flatten() for x in (found, expected)
    )
    scale = expected.norm().clamp(min=1e-12)
    difference = float((found - expected).norm() / scale)
    values = (float(x.norm() / max(1, len(x)) ** 0.5) for x in (found, expected))
    row = dict(zip(("device", "CPU"), values, strict=True))
    verdict = {"difference": difference, "allowed": float(allowed), "ok": difference <= allowed}
    return {"what": what, **row, **verdict}  # NaN is not below anything


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def alike(what: str, found: Any, expected: Any) -> Row:
    """A row of two sequences of symbols, of which rounding may change a few."""
    share = SequenceMatcher(None, found, expected, autojunk=False).ratio()
    return {"what": what, "as on the CPU": share, "ok": share > 0.9}


def still(name: str) -> EncoderConfig:
    """An encoder by its name, without chance in training, so that two devices can be compared."""
    return replace(
        find_encoder(name),
        dropout=0.0,
        attention_dropout=0.0,
        dropout_input=0.0,
        encoder_layerdrop=0.0,
    )


def sizes(options: Options) -> tuple[str, ...]:
    return ("tiny", "zipformer_tiny") if options.small else ("tiny", "base", "zipformer_base")
