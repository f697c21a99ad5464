"""Nested random subsets of a corpus by hours, with their columns; columns that became stale.

For the study of data sizes ("Efficient Training ... on a Compute Budget", Table 3). The study drew
its subsets anew for each size and cut the last utterance's line, not its audio. Differs: each
subset here contains the smaller ones, and utterances stay whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq_budget import frames
from fairseq_budget.corpus.column import Column, column_names, write_column
from fairseq_budget.corpus.labels import copy_dictionary
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE

Indices = NDArray[np.int64]


def choose_hours(manifest: Manifest, hours: Iterable[float], *, seed: int) -> dict[float, Indices]:
    """For each number of hours, the utterances of a subset, in the manifest's order.

    One random order, a function of the seed and the utterances' names, is cut where its total is
    nearest to the hours asked for; so a subset contains all smaller ones, and its total is off by
    half an utterance at most. Raises BudgetError when the manifest has fewer hours.
    """
    names = [f"{seed}:{utterance.name}".encode() for utterance in manifest.utterances]
    order = np.array(sorted(range(len(names)), key=lambda i: sha256(names[i]).digest()))
    sizes = np.array([utterance.num_samples for utterance in manifest.utterances])
    totals = np.cumsum(sizes[order])
    return {wanted: np.sort(order[: _num_nearest(totals, wanted)]) for wanted in hours}


def _num_nearest(totals: NDArray[np.int64], hours: float) -> int:
    wanted = hours * 3600 * SAMPLE_RATE
    last = int(np.searchsorted(totals, wanted))  # the first that reaches it
    if last == len(totals):
        raise BudgetError(
            f"{hours:g} hours were asked for, but the manifest has "
            f"{frames.hours(totals[-1]):.4g}; ask for less"
        )
    nearer_without = last > 0 and wanted - totals[last - 1] < totals[last] - wanted
    return last if nearer_without else last + 1


def write_subset(
    source: str | Path, destination: str | Path, indices: Sequence[int] | Indices
) -> list[str]:
    """Write the manifest of some utterances of another one, and all of its columns with it.

    Beside label columns go ``dict.{name}.txt`` and ``labels.json``. Returns the columns' names.
    Raises BudgetError if a column of `source` was made for another manifest.
    """
    manifest = Manifest.read(source)
    size = len(manifest.utterances)
    columns = [Column.open(source, name, manifest.hash, size) for name in column_names(source)]
    chosen = [manifest.utterances[index] for index in indices]
    Manifest(manifest.root, chosen).write(destination)
    for column in columns:
        lines = (column[int(index)] for index in indices)
        write_column(destination, column.name, lines, column.rate, more=column.description)
        copy_dictionary(column.name, Path(source).parent, Path(destination).parent)
    return [column.name for column in columns]
