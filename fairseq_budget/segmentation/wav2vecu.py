"""Segmentations from wav2vec-U 2.0: its output units, and the speech intervals they came from.

wav2vec-U ("Towards End-to-end Unsupervised Speech Recognition") hears utterances from which silence
was cut. ``vads.py`` of fairseq's recipe writes a line of speech intervals per utterance, in samples
``start:end``; ``remove_silence.py`` joins them, or keeps all audio where the line is empty. The
generator then gives a unit per 60 ms of that speech. Here the units find their way back:

- where the unit changes there is a boundary, moved to its place in the whole utterance;
- where speech begins or ends there is one, so units never merge across a cut;
- what was cut out is one segment each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.segments import Ends, ends_from_times
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE, num_frames
from fairseq_budget.segmentation.intervals import TOLERANCE_S

Intervals = NDArray[np.int64]
"""(N, 2): first sample of speech, and the one after the last."""


def unit_ends(corpus: Corpus, units: Path, vad: Path, unit_s: float = 0.06) -> Iterator[Ends]:
    """The ends of the segments of each utterance, in frames.

    `units` and `vad` have a line per utterance, in the order of the manifest; equal units in a row
    are not merged yet. `unit_s` is the duration of a unit. Raises BudgetError, naming the line, for
    intervals that are none or beyond the audio, or units of another duration than the speech.
    """
    lines = zip_longest(_read(units, len(corpus)), _read(vad, len(corpus)))
    lines = Progress(lines, corpus.path.stem, len(corpus), unit="utterance")
    for index, (line, intervals) in enumerate(lines):
        num_samples, symbols = int(corpus.sizes[index]), line.split()
        speech = _parse_intervals(intervals, num_samples, where=f"{vad}, line {index + 1}")
        _check_duration(len(symbols) * unit_s, unit_s, speech, where=f"{units}, line {index + 1}")
        yield ends_from_times(unit_times(symbols, speech, unit_s), num_frames(num_samples))


def unit_times(units: Sequence[str], speech: Intervals, unit_s: float) -> NDArray[np.float64]:
    """The boundaries of an utterance in seconds, in order: (B,).

    >>> unit_times(["a", "a", "b"], np.array([[1600, 3200], [8000, 12800]]), 0.06).tolist()
    [0.1, 0.2, 0.5, 0.52, 0.8]
    """
    changes = [index for index in range(1, len(units)) if units[index] != units[index - 1]]
    heard = np.array(changes, dtype=np.float64) * unit_s * SAMPLE_RATE  # samples of speech before
    lengths = speech[:, 1] - speech[:, 0]
    before = np.cumsum(lengths) - lengths  # speech before each interval
    heard = heard[heard < lengths.sum()]
    interval = np.searchsorted(before, heard, side="right") - 1
    moved = speech[interval, 0] + heard - before[interval]
    return np.union1d(moved, speech) / SAMPLE_RATE


def _parse_intervals(line: str, num_samples: int, *, where: str) -> Intervals:
    try:
        pairs = [list(map(int, pair.split(":"))) for pair in line.split()]
        speech = np.array(pairs or [[0, num_samples]], dtype=np.int64).reshape(-1, 2)
    except (ValueError, OverflowError) as error:
        raise BudgetError(
            f"{where}: {line.strip()!r}; expected speech intervals `start:end` in samples, as "
            "fairseq's wav2vec/unsupervised/scripts/vads.py writes them"
        ) from error
    if (np.diff(speech.ravel()) < 0).any() or speech[0, 0] < 0:
        raise BudgetError(f"{where}: speech intervals overlap or are out of order; write them anew")
    if speech[-1, 1] > num_samples + TOLERANCE_S * SAMPLE_RATE:
        raise BudgetError(
            f"{where}: speech ends at sample {speech[-1, 1]}, after the audio of {num_samples}; "
            "expected a line for each utterance of the manifest, in its order"
        )
    return speech


def _check_duration(duration_s: float, unit_s: float, speech: Intervals, *, where: str) -> None:
    speech_s = float((speech[:, 1] - speech[:, 0]).sum()) / SAMPLE_RATE
    if abs(duration_s - speech_s) > unit_s + TOLERANCE_S:
        raise BudgetError(
            f"{where}: the units are {'shorter' if duration_s < speech_s else 'longer'} than the "
            f"speech: {duration_s:.2f} s in units of {1000 * unit_s:g} ms, for {speech_s:.2f} s; "
            "are both files those of this manifest, and is --unit-rate-ms that of the generator?"
        )


def _read(path: Path, num_utterances: int) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BudgetError(f"cannot read {path}: {error}") from error
    if len(lines) != num_utterances:
        raise BudgetError(
            f"{path} has {len(lines)} lines, but the manifest has {num_utterances} utterances; "
            "expected a line for each, in its order"
        )
    return lines
