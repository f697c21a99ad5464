"""Jobs of worker processes: read a run of utterances, compute its features, write one part."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fairseq_budget.audio.io import AudioError
from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.labels.features import Extractor, Feature, Frames
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.parts import Parts, Workers
from fairseq_budget.labels.sample import Sample, sample_utterance

Task = tuple[int, range]
"""Number of a part, and the utterances that it holds."""


@dataclass(frozen=True)
class Source:
    """Features of the utterances of a manifest; cheap to send to another process.

    Raises BudgetError there if the manifest or the checkpoint is no longer what it was here.
    """

    manifest: Path
    manifest_hash: str
    feature: Feature

    @classmethod
    def of(cls, corpus: Corpus, feature: Feature) -> Source:
        checked = replace(feature, teacher_sha256=load_extractor(feature).teacher_sha256)
        return cls(corpus.path, corpus.hash, checked)

    @property
    def corpus(self) -> Corpus:
        return _open_corpus(self.manifest, self.manifest_hash)

    def features(self, utterances: Sequence[int]) -> list[Frames]:
        """(T, D) of each utterance; NaN throughout where its audio cannot be read."""
        sizes = self.corpus.sizes[list(utterances)].tolist()
        return self.heard([(index, 0, size) for index, size in zip(utterances, sizes, strict=True)])

    def heard(self, stretches: Sequence[tuple[int, int, int]]) -> list[Frames]:
        """(T, D) of stretches, each an utterance, its first sample and the one behind its last.

        NaN throughout where the audio cannot be read.
        """
        corpus, extractor, waves = self.corpus, load_extractor(self.feature), {}
        for place, (index, start, stop) in enumerate(stretches):
            with contextlib.suppress(AudioError):
                waves[place] = corpus.read(index, start, stop - start)
        found = dict(zip(waves, extractor(list(waves.values())), strict=True))
        if not all(np.isfinite(frames).all() for frames in found.values()):
            raise BudgetError("the features are not finite; is the checkpoint sound?")
        lengths = self.feature.num_frames(np.array([stop - start for _, start, stop in stretches]))
        for place, length in enumerate(lengths):
            found.setdefault(place, np.full((length, extractor.dim), np.nan, np.float32))
        return [found[place] for place in range(len(stretches))]

    def num_frames(self, run: range) -> NDArray[np.int64]:
        """Frames of each utterance of a run, known beforehand."""
        return self.feature.num_frames(self.corpus.sizes[run.start : run.stop])

    def distances(self, utterances: Sequence[int], model: KMeans) -> Iterator[Frames]:
        """Of each utterance, `KMeans.distances` of its frames of 20 ms: (T, K).

        Of MFCC every other frame is taken, which sees just the 25 ms that the encoder's frame sees.
        """
        stride = self.feature.rate // FRAME_RATE_HZ
        for frames in self.features(utterances):
            yield model.distances(frames[::stride])


def run_tasks(
    workers: Workers,
    work: Callable[[Task], int],
    runs: dict[int, range],
    parts: Parts,
    name: str,
    unit: str = "utterance",
) -> None:
    """Make the parts of `runs` that are missing, under a progress bar that counts units."""
    tasks = [(index, runs[index]) for index in parts.missing(list(runs))]
    total, left = sum(map(len, runs.values())), sum(len(run) for _, run in tasks)
    with Progress(total=total, initial=total - left, desc=name, unit=unit) as bar:
        workers.run(work, tasks, bar)


def write_sample(task: Task, *, source: Source, sample: Sample, parts: Parts) -> int:
    """A part of the sample for k-means: (T, D) frames of a run of its utterances."""
    index, run = task
    chosen = [int(sample.utterances[i]) for i in run]
    rows = [
        sample_utterance(frames, int(sample.counts[i]), seed=(sample.seed, utterance))
        for frames, i, utterance in zip(source.features(chosen), run, chosen, strict=True)
    ]
    save_frames(parts, index, np.concatenate(rows))
    return len(run)


def write_features(task: Task, *, source: Source, parts: Parts) -> int:
    """A part of a feature dump: all frames (T, D) of a run of utterances."""
    index, run = task
    save_frames(parts, index, np.concatenate(source.features(run)))
    return len(run)


def write_labels(
    task: Task, *, source: Source, kept: Parts, model: Path, centroids: str, parts: Parts
) -> int:
    """A part of a label file: a line of cluster ids for each utterance of a run that is heard.

    Features are those that were `kept` by `write_sample`, where they were, or else computed.
    """
    index, run = task
    try:
        frames = load_frames(kept, index)
    except FileNotFoundError:
        frames = np.concatenate(source.features(run))
    ids = _load_model(model, centroids).assign(frames)
    ends = np.cumsum(source.num_frames(run))[:-1]
    rows = zip(np.split(ids, ends), np.split(frames, ends), strict=True)
    _write_rows(parts, index, (row if is_heard(own) else row[:0] for row, own in rows))
    return len(run)


def is_heard(frames: Frames) -> bool:
    """Whether `features`, or distances of theirs, are of audio that could be read."""
    return not np.isnan(frames[:1]).any()


def _write_rows(parts: Parts, index: int, rows: Iterable[NDArray[np.int64]]) -> None:
    lines = (" ".join(map(str, row.tolist())) + "\n" for row in rows)
    parts.write(index, "".join(lines).encode())


def read_rows(parts: Parts, num_parts: int) -> Iterator[str]:
    """The lines of all parts, one after the other; FileNotFoundError where one is missing."""
    for index in range(num_parts):
        yield from bytes(parts.read(index)).decode().splitlines()


# What a process needs for every task is read once.


@functools.lru_cache(maxsize=2)
def load_extractor(feature: Feature) -> Extractor:
    """`feature.build()`, once for each process."""
    return feature.build()


@functools.lru_cache(maxsize=1)
def _open_corpus(manifest: Path, manifest_hash: str) -> Corpus:
    corpus = read_text(manifest)
    if corpus.hash != manifest_hash:
        raise BudgetError(f"{manifest} was changed in the meantime; start the command again")
    return corpus


@functools.lru_cache(maxsize=1)
def _load_model(path: Path, centroids: str) -> KMeans:
    model = KMeans.load(path)
    if model.sha256 != centroids:
        raise BudgetError(f"{path} was fitted anew in the meantime; start the command again")
    return model


def load_frames(parts: Parts, index: int, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """The frames (T, D) of a part, of a `dtype`; FileNotFoundError if it is missing or damaged.

    BudgetError for a part of something else, before memory is taken for what it promises.
    """
    content = parts.read(index)
    with reading(parts.path(index), "remove it, and start the command again"):
        file = io.BytesIO(content)
        np.lib.format.read_magic(file)
        shape, is_fortran, found = np.lib.format.read_array_header_1_0(file)
        if len(shape) != 2 or is_fortran or found != dtype:
            raise ValueError(f"an array of {found} {shape}, expected {np.dtype(dtype)} (T, D)")
        if found.itemsize * shape[0] * shape[1] != len(content) - file.tell():
            raise ValueError(f"{len(content) - file.tell()} bytes of an array {shape}")
        return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape).copy()


def save_frames(parts: Parts, index: int, frames: NDArray[Any]) -> None:
    """Write a part that `load_frames` reads."""
    content = io.BytesIO()
    np.save(content, frames, allow_pickle=False)
    parts.write(index, content.getbuffer(), durable=False)
