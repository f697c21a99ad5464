"""Savings of shorter sequences: rows of "On Compressing Sequences ...", Table 2, and others.

The paper's MACs are sums over the 32 utterances of the SUPERB challenge's profiler, by that
profiler; ours are the one formula of flops.py, with `profiler_macs` in columns of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from fairseq_budget.budget.flops import (
    after_frontend_macs,
    cut_off_macs,
    encoder_macs,
    num_segments,
    profiler_macs,
)
from fairseq_budget.budget.parameters import num_encoder_parameters
from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ, num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.papers.sequence_compression import (
    BASELINE_NOTE,
    PAPER_ROWS,
    PROFILER_NUM_SAMPLES,
    STUDENT,
)


@dataclass(frozen=True, kw_only=True)
class StudentRow:
    """A row of Table 2: GMACs of the utterances together, heads and upsampling not counted.

    `body_gmacs` is all that follows the front-end; `profiler_` adds what the SUPERB challenge's
    profiler counts besides. `frame_rate_hz` is the mean one after subsampling.
    """

    name: str = column("")
    frame_rate_hz: float = column("Hz", digits=2)
    parameters: int
    paper_parameters_m: float | None = column("paper's (M)", default=None, digits=2, optional=True)
    gmacs: float = column("GMACs", digits=2)
    profiler_gmacs: float = column("as profiled", digits=2)
    paper_gmacs: float | None = column("paper's", default=None, digits=2, optional=True)
    body_gmacs: float = column("without front-end", digits=2)
    profiler_body_gmacs: float = column("without, as profiled", digits=2)
    paper_body_gmacs: float | None = column(
        "without, paper's", default=None, digits=2, optional=True
    )
    note: str | None = column(default=None, hidden=True)


def count_macs(
    name: str, config: EncoderConfig, num_samples: ArrayLike = PROFILER_NUM_SAMPLES
) -> StudentRow:
    """A row of the table; raises BudgetError for a subsampling that does not exist."""
    lengths = np.asarray(num_samples, dtype=np.int64)
    if not (frames := num_frames(lengths).sum()):
        raise BudgetError("no utterance has a frame (25 ms); give a manifest of longer ones")
    parameters = num_encoder_parameters(config)  # first: it checks the subsampling
    cut_off = len(lengths) * cut_off_macs(config)
    total = encoder_macs(config, lengths).sum() + cut_off
    body = after_frontend_macs(config, lengths).sum() + cut_off
    extra = profiler_macs(config, lengths).sum()
    return StudentRow(
        name=name,
        frame_rate_hz=float(FRAME_RATE_HZ * num_segments(config, lengths).sum() / frames),
        parameters=parameters,
        gmacs=float(total / 1e9),
        body_gmacs=float(body / 1e9),
        profiler_gmacs=float((total + extra) / 1e9),
        profiler_body_gmacs=float((body + extra) / 1e9),
    )


def paper_rows() -> list[StudentRow]:
    """Every row of Table 2 and its teacher, with the paper's values beside ours."""
    return [
        replace(
            count_macs(row.name, row.config),
            paper_parameters_m=row.parameters_m,
            paper_gmacs=row.gmacs,
            paper_body_gmacs=row.body_gmacs,
            note=BASELINE_NOTE if row.config is STUDENT else None,
        )
        for row in PAPER_ROWS
    ]
