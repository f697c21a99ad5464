"""What shortening sequences saves: rows of "On Compressing Sequences ...", Table 2, and others.

The paper's MACs are sums over the 32 utterances of the SUPERB challenge's profiler, by that
profiler; ours are the one formula of flops.py, with `profiler_macs` in columns of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from fairseq_budget.errors import BudgetError
from fairseq_budget.flops import (
    after_frontend_macs,
    cut_off_macs,
    encoder_macs,
    num_segments,
    profiler_macs,
)
from fairseq_budget.frames import FRAME_RATE_HZ, num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder

PROFILER_NUM_SAMPLES = (
    *(20560, 34560, 38480, 42560, 45600, 48720, 52000, 55120, 59120, 62720, 66400, 71200, 75200),
    *(78640, 82800, 87520, 92720, 98560, 104400, 111120, 118480, 125040, 132720, 142640, 154000),
    *(166720, 180880, 197920, 217920, 239280, 268160, 326000),
)
"""Lengths of the profiler's utterances, 225 s of LibriSpeech's test-clean: every 82nd by length."""

TEACHER = EncoderConfig(size="base")  # HuBERT Base
STUDENT = EncoderConfig(
    size="base", encoder_layers=2, feature_layer_norm=False, mask_embedding=False
)
"""DistilHuBERT without its heads."""

BASELINE_NOTE = (
    "DistilHuBERT: the paper prints 758.9 and 207.1. Most probably the first is 785.9 with two "
    "digits swapped, and the second what is left of it without the front-end's 551.8: all other "
    "rows of fixed rates agree within 0.1. An inference; the authors have not confirmed it"
)
ROUNDED_NOTE = (
    "The last seven rows, of CIF: ours are at the rates that the paper prints, and it has rounded "
    "them; its MACs imply periods of 41.3, 81.8, 39.6, 78.1, 92.0, 163.7 and 88.4 ms"
)


@dataclass(frozen=True)
class PaperRow:
    """A line of Table 2: millions of parameters, GMACs in all and without the front-end."""

    name: str
    config: EncoderConfig
    parameters_m: float | None
    gmacs: float
    body_gmacs: float | None


def _row(name: str, subsample: str, rate: float, *printed: float) -> PaperRow:
    upsample = name.startswith(("conv-deconv", "avg-repeat"))
    config = replace(STUDENT, subsample=subsample, subsample_rate=rate, upsample=upsample)
    return PaperRow(name, config, *printed)


PAPER_ROWS = (
    PaperRow("HuBERT Base", TEACHER, None, 1669.16, None),  # SUPERB's leaderboard
    PaperRow("DistilHuBERT", STUDENT, 23.49, 758.9, 207.1),
    _row("conv-deconv 2", "conv", 2, 25.20, 667.6, 115.8),
    _row("conv-deconv 4", "conv", 4, 26.90, 610.3, 58.5),
    _row("avg-repeat 2", "average", 2, 23.49, 664.6, 112.8),
    _row("avg-repeat 4", "average", 4, 23.49, 607.3, 55.5),
    _row("avg 2", "average", 2, 23.49, 664.6, 112.8),
    _row("avg 4", "average", 4, 23.49, 607.3, 55.5),
    _row("avg 8", "average", 8, 23.49, 579.5, 27.7),
    _row("card 2", "cif", 2, 24.81, 675.7, 123.9),
    _row("card 4", "cif", 4, 24.81, 620.7, 68.9),
    _row("DP 0", "cif", 2, 24.81, 680.6, 128.8),
    _row("DP 25", "cif", 4, 24.81, 623.3, 71.5),
    _row("DP 35", "cif", 4.5, 24.81, 614.6, 62.8),
    _row("DP 75", "cif", 8, 24.81, 593.4, 41.6),
    _row("w2v-u 2.0", "cif", 4.5, 24.81, 616.6, 64.8),
)


def count_macs(
    name: str, config: EncoderConfig, num_samples: ArrayLike = PROFILER_NUM_SAMPLES
) -> dict[str, Any]:
    """A row of the table: GMACs of the utterances together, heads and upsampling not counted.

    ``body_`` is all that follows the front-end; ``profiler_`` adds what the SUPERB challenge's
    profiler counts besides. ``frame_rate_hz`` is the mean one after subsampling. Raises BudgetError
    for a subsampling that there is not.
    """
    lengths = np.asarray(num_samples, dtype=np.int64)
    if not (frames := num_frames(lengths).sum()):
        raise BudgetError("no utterance has a frame (25 ms); give a manifest of longer ones")
    parameters = num_parameters(config)  # first: it checks the subsampling
    cut_off = len(lengths) * cut_off_macs(config)
    total = encoder_macs(config, lengths).sum() + cut_off
    body = after_frontend_macs(config, lengths).sum() + cut_off
    extra = profiler_macs(config, lengths).sum()
    return {
        "name": name,
        "frame_rate_hz": float(FRAME_RATE_HZ * num_segments(config, lengths).sum() / frames),
        "parameters": parameters,
        "gmacs": float(total / 1e9),
        "body_gmacs": float(body / 1e9),
        "profiler_gmacs": float((total + extra) / 1e9),
        "profiler_body_gmacs": float((body + extra) / 1e9),
    }


def paper_rows() -> list[dict[str, Any]]:
    """Every row of Table 2 and its teacher, with the paper's values beside ours."""
    return [
        count_macs(row.name, row.config)
        | {
            "paper_parameters_m": row.parameters_m,
            "paper_gmacs": row.gmacs,
            "paper_body_gmacs": row.body_gmacs,
            "note": BASELINE_NOTE if row.config is STUDENT else None,
        }
        for row in PAPER_ROWS
    ]


def num_parameters(config: EncoderConfig) -> int:
    """Trainable parameters of the real encoder, upsampling included, heads not; none allocated."""
    with torch.device("meta"):
        encoder = SpeechEncoder(config)
    return sum(p.numel() for p in encoder.parameters() if p.requires_grad)
