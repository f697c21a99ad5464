"""The length to pre-train at for a downstream task, from the lengths of its utterances.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio", section 4: pre-training on sequences as long as those of the task gives the best scores,
but for 1 s, which holds too little. We read its Table 1 as `RULE`, which is the best set with a
frozen encoder for five tasks of seven: 12 keywords are better by 0.09 % at 10 s, speaker
verification by 0.26 % at 15 s. The nearest length would choose alike for these tasks, but of the
sets' true means (5.2, 10.4 and 15.8 s) 10.4 is nearest to speech recognition's 12.69.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.frames import SAMPLE_RATE, hours

_BAR_WIDTHS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
_MAX_BARS = 15


@dataclass(frozen=True)
class LengthSummary:
    """How long the utterances of a set are."""

    num_utterances: int
    hours: float
    mean_s: float
    median_s: float
    p90_s: float  # 90th percentile


@dataclass(frozen=True)
class Bar:
    """Utterances from one duration to another, which may hold what is longer, too (`is_open`)."""

    from_s: float
    to_s: float
    is_open: bool
    num_utterances: int


def describe_lengths(sizes: NDArray[Any]) -> LengthSummary:
    """Of utterances of ``sizes`` (N,) samples."""
    median, p90 = np.quantile(sizes, (0.5, 0.9)) / SAMPLE_RATE
    return LengthSummary(
        num_utterances=len(sizes),
        hours=hours(float(sizes.sum())),
        mean_s=float(sizes.mean()) / SAMPLE_RATE,
        median_s=float(median),
        p90_s=float(p90),
    )


def length_histogram(sizes: NDArray[Any]) -> list[Bar]:
    """Utterances in up to 15 bars, of which the last may be open."""
    seconds = np.asarray(sizes) / SAMPLE_RATE
    most_s = float(np.quantile(seconds, 0.99))
    width = next((w for w in _BAR_WIDTHS_S if most_s < _MAX_BARS * w), _BAR_WIDTHS_S[-1])
    last = min(int(most_s / width), _MAX_BARS - 1)
    bars = np.minimum((seconds / width).astype(np.int64), last)
    counts = np.bincount(bars)
    is_open = seconds.max() >= (last + 1) * width
    return [
        Bar(
            round(bar * width, 1),
            round((bar + 1) * width, 1),
            is_open=bool(bar == last and is_open),
            num_utterances=int(counts[bar]),
        )
        for bar in range(int(bars.min()), last + 1)
    ]
