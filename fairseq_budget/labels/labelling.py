"""Labelling the splits of a folder with its fitted model, by processes and by machines.

The parts of a split are cut by its manifest alone, so its label file has the same bytes whatever
stopped the work before, and however many processes and shards took part.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_budget.audio.bad_share import MAX_BAD_SHARE, are_too_many, listed
from fairseq_budget.corpus.column import column_path, refuse_other_kind, write_column
from fairseq_budget.corpus.column_kinds import (
    CENTROIDS_KEY,
    LABELS,
    check_name,
    dictionary_path,
    info_path,
    is_label_set,
    model_path,
)
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.labels import (
    LabelInfo,
    find_unheard,
    labelled_splits,
    write_dictionary,
    write_info,
)
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.features import Feature
from fairseq_budget.labels.fitting import VERSION, kept_features
from fairseq_budget.labels.jobs import (
    Source,
    load_extractor,
    read_rows,
    run_tasks,
    write_labels,
)
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.parts import Parts, Workers, cut_parts, shard_range

_PATHS = (dictionary_path, info_path, model_path)


@dataclass(frozen=True)
class Apply:
    """Labelling `splits` with the fitted model; `shard` of `num_shards` makes a share of parts."""

    folder: Path
    feature: Feature
    splits: tuple[str, ...]
    num_shards: int = 1
    shard: int = 0
    name: str = LABELS  # of the label set
    max_bad_share: float = MAX_BAD_SHARE

    def run(self, workers: Workers) -> list[str]:
        """Label, and join what is complete. Returns the splits of which parts are still missing.

        What is there, and was damaged or edited since, is made again. Utterances whose audio cannot
        be read have no labels, until it can be. Raises BudgetError if no model is fitted, it was
        fitted on other features, or more than `max_bad_share` of a split's audio is bad.
        """
        check_name(self.name)
        model = load_model(self.folder, self.feature, self.name)
        refuse_mixed_centroids(self.folder, self.splits, model.sha256, self.name)
        if self.num_shards == 1:
            remove_leftovers(self.folder, self._files)
        jobs = [
            _Split.open(self.folder / f"{split}.tsv", self.name, model, self.feature)
            for split in self.splits
        ]
        for job in jobs:
            if not job.is_done():
                job.label(workers, self.shard, self.num_shards)
        return [job.corpus.path.stem for job in jobs if not job.join(self.max_bad_share)]

    @property
    def _files(self) -> tuple[str, ...]:
        paths = (path_of(self.folder, self.name) for path_of in _PATHS)
        return f"*.{self.name}", f"*.{self.name}.json", *(path.name for path in paths)


@dataclass(frozen=True)
class _Split:
    name: str
    corpus: Corpus
    model: KMeans
    feature: Feature
    kept: Parts
    parts: Parts
    runs: list[range]

    @classmethod
    def open(cls, manifest: Path, name: str, model: KMeans, feature: Feature) -> _Split:
        refuse_other_kind(manifest, name, is_label_set)
        corpus = read_text(manifest)
        settings = {
            "version": VERSION,
            "centroids": model.sha256,
            "manifest": corpus.hash,
            "feature": model.description["feature"],
            "teacher_sha256": model.description["teacher_sha256"],
        }
        parts = Parts(manifest.parent, f"split.{manifest.stem}.{name}", settings)
        kept = kept_features(corpus, feature)
        return cls(name, corpus, model, feature, kept, parts, cut_parts(corpus.sizes))

    def is_done(self) -> bool:
        """Whether the label file is there, whole, for this manifest and by these centroids."""
        made = {"rate": self.model.description["rate"], CENTROIDS_KEY: self.model.sha256}
        if not self.corpus.has_column(self.name, **made):
            return False
        column = self.corpus.open_column(self.name)
        return all(find_unheard(self.corpus, column.is_empty).values())

    def label(self, workers: Workers, shard: int, num_shards: int) -> None:
        """Make the parts of `shard` that are missing."""
        mine = shard_range(len(self.runs), num_shards, shard)
        work = functools.partial(
            write_labels,
            source=Source.of(self.corpus, self.feature),
            kept=self.kept,
            model=model_path(self.corpus.path.parent, self.name),
            centroids=self.model.sha256,
            parts=self.parts,
        )
        runs = {index: self.runs[index] for index in mine}
        run_tasks(workers, work, runs, self.parts, f"{self.corpus.path.stem}: labels")

    def join(self, max_bad_share: float) -> bool:
        """Join the parts if all are there; False if some are missing.

        Shards that finish together may both join: they write equal bytes, and one that finds the
        parts removed under its hands finds the other's result, too.
        """
        if not self.is_done():
            if self.parts.missing(range(len(self.runs))):
                return self.is_done()
            try:
                self._require_heard(max_bad_share)
                self._write()
            except FileNotFoundError:
                if not self.is_done():
                    raise
        self._describe()
        self.parts.remove()
        self.kept.remove()
        return True

    def _write(self) -> None:
        rate = self.model.description["rate"]
        more = {CENTROIDS_KEY: self.model.sha256}
        write_column(self.corpus.path, self.name, self._lines(), rate, more=more)

    def _require_heard(self, max_bad_share: float) -> None:
        """Raise BudgetError if too much audio is bad; its parts are made again the next time."""
        empty = [not line for line in self._lines()]
        unheard = find_unheard(self.corpus, empty.__getitem__)
        if not are_too_many(len(unheard), len(empty), max_bad_share):
            return
        for part, run in enumerate(self.runs):
            if not unheard.keys().isdisjoint(run):
                self.parts.discard(part)
                self.kept.discard(part)
        raise BudgetError(
            f"{len(unheard)} of the {len(empty)} utterances of {self.corpus.path} cannot be read, "
            f"more than --max-bad-share {max_bad_share:g}: restore the files, or write the "
            f"manifest again without them:{listed(unheard.values())}"
        )

    def _lines(self) -> Iterator[str]:
        return read_rows(self.parts, len(self.runs))

    def _describe(self) -> None:
        folder, fitted = self.corpus.path.parent, self.model.description
        info = LabelInfo(
            label_rate=fitted["rate"],
            num_clusters=len(self.model.centroids),
            feature=fitted["feature"],
            centroids_sha256=self.model.sha256,
            teacher_sha256=fitted["teacher_sha256"],
        )
        write_dictionary(folder, info.num_clusters, self.name)
        write_info(folder, info, self.name)


def load_model(folder: Path, feature: Feature, name: str = LABELS) -> KMeans:
    """The fitted model; BudgetError if there is none, or it was fitted on another `feature`."""
    path = model_path(folder, name)
    model = KMeans.load(path)
    fitted, ours = model.description, feature.description
    if missing := {"feature", "rate", "teacher_sha256"} - fitted.keys():
        raise BudgetError(
            f"{path} does not say its {', '.join(sorted(missing))}; run `budget-labels fit` again"
        )
    if {**fitted["feature"], "checkpoint": None} != {**ours, "checkpoint": None}:
        raise BudgetError(
            f"{path} was fitted on {fitted['feature']}, not on {ours}; name that feature, or "
            "run `budget-labels fit` again"
        )
    if fitted["rate"] != feature.rate:
        raise BudgetError(
            f"{path} has {fitted['rate']} frames per second, but {ours} has {feature.rate}; run "
            "`budget-labels fit` again"
        )
    if fitted["teacher_sha256"] != load_extractor(feature).teacher_sha256:
        raise BudgetError(
            f"{path} was fitted on a layer of {fitted['feature'].get('checkpoint')}, a checkpoint "
            f"with other weights than {feature.checkpoint}; name that one, or run "
            "`budget-labels fit` again"
        )
    return model


def refuse_mixed_centroids(
    folder: Path, splits: Sequence[str], centroids: str | None, name: str = LABELS
) -> None:
    """Raise BudgetError if labels of other centroids would stay beside those to be made.

    `centroids` is the hash of those that will be used, None when they are yet to be fitted.
    """
    for split, description in labelled_splits(folder, name):
        path = column_path(folder / f"{split}.tsv", name)
        other = description.get(CENTROIDS_KEY) != centroids
        if other and split not in splits and path.exists():
            raise BudgetError(
                f"{path} was clustered by other centroids and would stay beside the new labels, "
                f"where equal ids mean different sounds; add {split} to --splits, delete {path} "
                f"and {path.name}.json, or give the new labels another --name"
            )


def remove_leftovers(folder: Path, kinds: Sequence[str]) -> None:
    """Temporary files of a killed process; other shards, if there are any, may still write some."""
    for kind in kinds:
        for path in folder.glob(f".{kind}.????????"):
            path.unlink(missing_ok=True)
