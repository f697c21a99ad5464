"""The labels of a split, as training reads them, and the checks that keep it from reading others.

Beside the manifest ``{split}.tsv`` lie, in the formats of fairseq (and ``km2``, ``labels_km2.json``
and so on, where a second label set has that name)::

    {split}.km        a Column (column.py): cluster ids 0..K-1 separated by blanks
    dict.km.txt       "i 1" for each cluster, in the order of ids
    labels.json       what the ids mean: rate, number of clusters, feature, hash of the centroids

Two label files belong together only if they were clustered by the same centroids; the description
of each, ``{split}.km.json``, holds the hash of its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.audio.io import AudioError
from fairseq_budget.corpus.column import Column, SplitColumn, column_path
from fairseq_budget.corpus.column_kinds import (
    CENTROIDS_KEY,
    LABELS,
    dictionary_path,
    info_path,
    is_label_set,
)
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.packed import open_corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import RECEPTIVE_FIELD, SAMPLE_RATE
from fairseq_budget.structured import Range, read_json

FORMAT_VERSION = 1
MAX_CLUSTERS = 1 << 20
TOLERANCE_S = 0.1  # between the durations of audio and labels: fairseq's
NUM_CHECKED = 200  # lines that are looked at when training starts


@dataclass(frozen=True)
class LabelInfo:
    """The content of ``labels.json``, about all label files of its folder.

    `label_rate` is in Hz. `feature` is ``{"kind": "mfcc"}``, or ``{"kind": "layer", "layer": n,
    "checkpoint": name}`` with `teacher_sha256`, the hash of that checkpoint's weights.
    """

    label_rate: Annotated[int, Range(1, SAMPLE_RATE)]
    num_clusters: Annotated[int, Range(0, MAX_CLUSTERS)]
    feature: dict[str, Any]
    centroids_sha256: str
    teacher_sha256: str | None = None
    format_version: int = FORMAT_VERSION


class Labels(SplitColumn):
    """The labels of one split: `rate` in Hz, `num_clusters`, the text `column`, what made them."""

    def __init__(self, folder: Path, split: str, column: Column, info: LabelInfo) -> None:
        super().__init__(folder, split, column)
        self.info = info
        self.rate, self.num_clusters = info.label_rate, info.num_clusters

    def __reduce__(self) -> tuple[Any, ...]:  # a loader worker reads the file, not a pickle
        return open_labels, (self.folder, self.split, self.column.name)

    def ids(self, index: int) -> NDArray[np.int64]:
        """The cluster of each frame of utterance `index`: (T,) within [0, num_clusters).

        Raises BudgetError, naming the line, for anything else.
        """
        try:
            ids = self.column.numbers(index)
        except (ValueError, OverflowError) as error:
            raise BudgetError(f"{self._line(index)}: {error}; {self._cure}") from error
        if len(ids) and not 0 <= ids.min() <= ids.max() < self.num_clusters:
            wrong = int(ids.max() if ids.max() >= self.num_clusters else ids.min())
            raise BudgetError(
                f"{self._line(index)}: label {wrong} is none of the {self.num_clusters} clusters "
                f"0 to {self.num_clusters - 1}; {self._cure}"
            )
        return ids

    def check_line(self, index: int, num_samples: int) -> NDArray[np.int64]:
        """`ids`, after checking that their number fits an utterance of `num_samples` samples."""
        ids, duration_s = self.ids(index), num_samples / SAMPLE_RATE
        if not len(ids):
            return ids  # of audio that could not be read
        if abs(len(ids) / self.rate - duration_s) > TOLERANCE_S:
            raise BudgetError(
                f"{self._line(index)}: {len(ids)} labels for {duration_s:.2f} s of audio are "
                f"{len(ids) / duration_s:.1f} per second, but the label rate is {self.rate}; if "
                f"the labels are those of another iteration or of a shard, {self._cure}"
            )
        return ids

    def entropy_bits(self) -> float:
        """Of a frame's cluster, of the whole split: what guessing by their shares leaves to say."""
        counts = np.zeros(self.num_clusters, np.int64)
        for index in range(len(self)):
            counts += np.bincount(self.ids(index), minlength=self.num_clusters)
        return entropy_bits(counts)

    @property
    def _cure(self) -> str:
        return _make(self.folder, self.column.name)

    def _line(self, index: int) -> str:
        return f"{self.path}, line {index + 1}"


def entropy_bits(counts: NDArray[np.int64]) -> float:
    """Entropy of the distribution that is proportional to `counts`."""
    share = counts[counts > 0] / max(int(counts.sum()), 1)
    return float(-(share * np.log2(share)).sum()) + 0.0


def label_sets(names: str | Sequence[str] | None) -> list[str]:
    """The label sets that ``task.labels`` names: none, one, or a list of them."""
    return [names] if isinstance(names, str) else list(names or ())


def _make(folder: Path, name: str) -> str:
    named = "" if name == LABELS else f" --name {name}"
    return f"make them with `budget-labels make --data {folder}{named}`"


def open_labels(
    folder: str | Path, split: str, name: str = LABELS, *, corpus: Corpus | None = None
) -> Labels:
    """Open the labels of a split after every check that costs less than reading all of it.

    `corpus` saves opening the split again, be it packed or not. Raises BudgetError, which names the
    file and the cure, when a file is missing or empty, the labels were made for another manifest,
    cover one shard only, have another rate or other centroids than ``labels.json`` says, or do not
    fit the audio of one of up to `NUM_CHECKED` utterances.
    """
    folder = Path(folder).absolute()
    info = read_info(folder, name)
    check_dictionary(folder, info, name)
    corpus = corpus or open_corpus(folder, split)
    labels = Labels(folder, split, _open_column(folder, split, name, corpus), info)
    check_origin(labels)
    num_checked = min(NUM_CHECKED, len(labels))
    chosen = np.random.default_rng(0).choice(len(labels), num_checked, replace=False)
    check_lines(labels, corpus, np.sort(chosen).tolist())
    return labels


def find_unheard(corpus: Corpus, has_none: Callable[[int], bool]) -> dict[int, str]:
    """The utterances that have no labels though they are long enough: why their audio is bad.

    "" where it can be read by now, so that the labels can be made again.
    """
    long_enough = np.flatnonzero(corpus.sizes >= RECEPTIVE_FIELD).tolist()
    unheard = [index for index in long_enough if has_none(index)]
    return {index: _why_unheard(corpus, index) for index in unheard}


def _why_unheard(corpus: Corpus, index: int) -> str:
    try:
        corpus.read(index)
    except AudioError as error:
        return str(error)
    return ""


def check_lines(labels: Labels, corpus: Corpus, indices: Iterable[int]) -> None:
    """Raise BudgetError if the labels of any of these utterances do not fit their audio."""
    for index in indices:
        labels.check_line(index, int(corpus.sizes[index]))


def read_info(folder: Path, name: str = LABELS) -> LabelInfo:
    """``labels.json``; BudgetError if it is missing, of another format, or says what cannot be."""
    path, cure = info_path(folder, name), _make(folder, name)
    try:
        info = read_json(path, LabelInfo)
    except OSError as error:
        raise BudgetError(
            f"{path} is missing, which says what the labels in this folder mean; {cure}, which "
            "also finishes what was interrupted"
        ) from error
    except ValueError as error:
        raise BudgetError(f"{path} is no description of labels ({error}); {cure}") from error
    if info.format_version != FORMAT_VERSION:
        raise BudgetError(
            f"{path} has format_version {info.format_version!r}, not {FORMAT_VERSION}; {cure}"
        )
    if info.num_clusters < 2:
        raise BudgetError(f"{path}: {info.num_clusters} cluster(s) are nothing to learn; {cure}")
    return info


def write_info(folder: Path, info: LabelInfo, name: str = LABELS) -> None:
    """Write ``labels.json``: equal descriptions give equal bytes."""
    _write(info_path(folder, name), json.dumps(asdict(info), indent=2, sort_keys=True) + "\n")


def write_dictionary(folder: Path, num_clusters: int, name: str = LABELS) -> None:
    """Write ``dict.{name}.txt``. fairseq puts 4 symbols in front: class = cluster + 4."""
    entries = (f"{cluster} 1\n" for cluster in range(num_clusters))
    _write(dictionary_path(folder, name), "".join(entries))


def check_dictionary(folder: Path, info: LabelInfo, name: str = LABELS) -> None:
    """Raise BudgetError unless ``dict.{name}.txt`` lists exactly the clusters 0..K-1, in order.

    With an empty or short dictionary fairseq would silently turn every label into <unk>.
    """
    path, cure = dictionary_path(folder, name), _make(folder, name)
    try:
        entries = [line.split(" ")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise BudgetError(f"cannot read the dictionary {path} ({error}); {cure}") from error
    if not entries:
        raise BudgetError(f"the dictionary {path} is empty, so every label is unknown; {cure}")
    if entries != [str(cluster) for cluster in range(info.num_clusters)]:
        raise BudgetError(
            f"the dictionary {path} has {len(entries)} entries, {entries[0]!r} to {entries[-1]!r}, "
            f"instead of the clusters 0 to {info.num_clusters - 1} in order; {cure}"
        )


def labelled_splits(folder: Path, name: str = LABELS) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each split with a described label file in `folder`, and the description."""
    for path in sorted(folder.glob(f"*.{name}.json")):
        try:
            description = read_json(path, dict)
        except (OSError, ValueError):
            description = None
        if description is not None and is_label_set(description):
            yield path.name.removesuffix(f".{name}.json"), description


def _write(path: Path, text: str) -> None:
    """Leave a file alone that is already as it should be."""
    if not path.is_file() or path.read_bytes() != text.encode():
        with atomic_write(path) as file:
            file.write(text)


def _open_column(folder: Path, split: str, name: str, corpus: Corpus) -> Column:
    manifest = folder / f"{split}.tsv"
    path, cure = column_path(manifest, name), _make(folder, name)
    try:
        return corpus.open_column(name)
    except BudgetError as error:
        num_lines = _count_lines(path)
        if 0 < num_lines < len(corpus):
            raise BudgetError(
                f"{path} has labels for {num_lines} of the {len(corpus)} utterances of {manifest}: "
                "one shard of several, or another manifest's; let all shards of `budget-labels "
                f"apply` come to their end, which joins them, or {cure}"
            ) from error
        raise BudgetError(f"{error} (labels: {cure})") from error


def _count_lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.is_file() else 0


def check_origin(labels: Labels) -> None:
    """Raise BudgetError unless rate and centroids are those that ``labels.json`` describes."""
    info, description = labels.info, labels.column.description
    described = info_path(labels.folder, labels.column.name)
    if not is_label_set(description):
        raise BudgetError(
            f"{labels.path} holds no labels, but a segmentation or text; name a label set, as in "
            f"task.labels={LABELS}, or {labels._cure}"
        )
    if labels.column.rate != info.label_rate:
        raise BudgetError(
            f"{labels.path} has {labels.column.rate} labels per second, but "
            f"{described} says {info.label_rate}: labels of two iterations in one folder; "
            f"{labels._cure}"
        )
    if description.get(CENTROIDS_KEY) != info.centroids_sha256:
        found = labelled_splits(labels.folder, labels.column.name)
        others = [split for split, _ in found if split != labels.split]
        raise BudgetError(
            f"{labels.path} was clustered by other centroids than {described} "
            f"describes{_and_others(others)}, so equal ids mean different sounds; label all splits "
            f"with one model: {labels._cure}"
        )


def _and_others(splits: list[str]) -> str:
    return f" (also there: {', '.join(splits)})" if splits else ""


def copy_dictionary(name: str, source: Path, destination: Path) -> None:
    """Copy what belongs to label column `name` of a folder, if there is anything."""
    dictionary = dictionary_path(source, name)
    if dictionary.is_file():
        for path in filter(Path.is_file, (dictionary, info_path(source, name))):
            shutil.copy(path, destination / path.name)
