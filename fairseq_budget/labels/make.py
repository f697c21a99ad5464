"""The order in which a folder is labelled: fit, apply, dump, check."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.labels import find_unheard, open_labels
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.labels.fitting import Fit
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.labelling import Apply
from fairseq_budget.labels.parts import WORK_FOLDER, Workers
from fairseq_budget.labels.quality import count_split
from fairseq_budget.labels.shards import dump_features
from fairseq_budget.run.lock import hold
from fairseq_budget.text.alignments import Alignments


@dataclass(frozen=True)
class Checked:
    """The worth of a split's labels, and the utterances that have none, and why.

    The reason is empty where an utterance can be read by now.
    """

    corpus: Corpus
    summary: dict[str, float]
    unheard: dict[int, str]


def fit_labels(fit: Fit, workers: Workers) -> KMeans:
    """Fit, while nobody else labels in the folder."""
    with _alone(fit.folder):
        return fit.run(workers)


def make_labels(
    fit: Fit, apply: Apply, workers: Workers, features: Path | None
) -> dict[str, float]:
    """Fit, label, and write the features to a folder, if there is one; seconds of both steps."""
    with _alone(fit.folder):
        started = time.monotonic()
        fit.run(workers)
        fitted = time.monotonic()
        apply.run(workers)
        applied = time.monotonic()
        dump(apply, workers, features)
    return {"fit": round(fitted - started, 2), "apply": round(applied - fitted, 2)}


def apply_labels(apply: Apply, workers: Workers, features: Path | None) -> list[str]:
    """Label with the fitted model; returns the splits that other shards have yet to finish."""
    shard = None if apply.num_shards == 1 else apply.shard
    with _alone(apply.folder, shard):
        unfinished = apply.run(workers)
        dump(apply, workers, features)
    return unfinished


def _alone(folder: Path, shard: int | None = None) -> AbstractContextManager[None]:
    """Keep other fits and labellings of a folder away; of shards the same one only.

    Label sets share parts of features, so that the one that ends would take the other's away.
    """
    what = f"--data {folder}" if shard is None else f"--shard {shard} of --data {folder}"
    return hold(folder / f"{WORK_FOLDER}.lock", what, "another folder", part=shard)


def dump(apply: Apply, workers: Workers, folder: Path | None) -> None:
    """Write the features of this shard, too, where a folder is named."""
    if folder is None:
        return
    for split in apply.splits:
        corpus = read_text(apply.folder / f"{split}.tsv")
        shards = {"num_shards": apply.num_shards, "shard": apply.shard}
        dump_features(corpus, apply.feature, folder.absolute(), workers, **shards)


def check_labels(
    folder: Path, splits: Sequence[str], name: str, alignments: Alignments | None
) -> dict[str, Checked]:
    """Check every label of the splits; BudgetError for one that is wrong."""
    found = {}
    for split in splits:
        corpus = read_text(folder / f"{split}.tsv")
        labels = open_labels(folder, split, name, corpus=corpus)
        lines = Progress(range(len(labels)), desc=f"{split}: check", unit="utterance")
        summary = count_split(labels, corpus, lines, alignments).summary()
        unheard = find_unheard(corpus, labels.column.is_empty)
        found[split] = Checked(corpus, {**summary, "num_without_labels": len(unheard)}, unheard)
    return found
