"""Layers of an encoder over a corpus, on disk, for a model of somebody's own.

The frames of a shard lie one after the other, in the layout of ``dump_hubert_feature.py`` (a folder
for each layer) or in one HDF5 file. Long utterances are heard in windows. The work is done in parts
(parts.py) that are a function of the arguments alone, so an interruption costs one, and no byte.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.audio.bad_share import MAX_BAD_SHARE, are_too_many, listed
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.labels import find_unheard
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.labels.encoder_layers import CHUNK_FRAMES, LayersExtractor
from fairseq_budget.labels.features import Feature
from fairseq_budget.labels.jobs import (
    Source,
    Task,
    load_extractor,
    load_frames,
    run_tasks,
    save_frames,
)
from fairseq_budget.labels.layer_files import FORMATS, Format, Shard
from fairseq_budget.labels.parts import WORK_FOLDER, Parts, Workers, cut_parts, shard_range
from fairseq_budget.labels.shards import is_done
from fairseq_budget.labels.windows import Windows, cut_windows
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.run.lock import hold

VERSION = 1  # raise it when the same arguments come to mean other bytes
MIN_WINDOW_S, MAX_WINDOW_S = 0.1, CHUNK_FRAMES / FRAME_RATE_HZ


@dataclass(frozen=True)
class Layers(Feature):
    """`layers` of a checkpoint side by side; 0 is what the first one hears.

    Windows of like lengths pass together, up to `batch_samples` with padding.
    """

    layers: tuple[int, ...] = ()
    batch_samples: int = 1

    @property
    def description(self) -> dict[str, Any]:
        assert self.checkpoint is not None
        own = {"kind": "layers", "layers": list(self.layers), "checkpoint": self.checkpoint.name}
        return {**own, "batch_samples": self.batch_samples}

    def _extractor(self, encoder: SpeechEncoder) -> LayersExtractor:
        last = encoder.encoder.num_layers
        for layer in self.layers:
            if not 0 <= layer <= last:
                raise BudgetError(
                    f"--layers {layer}: the checkpoint has {last} layers; give numbers from 0 "
                    f"(what the first layer hears) to {last}, or all"
                )
        return LayersExtractor(encoder, self.layers, self.device, self.batch_samples)


@dataclass(frozen=True)
class Cut:
    """Windows of the utterances [first, stop) of a corpus, in frames."""

    first: int
    stop: int
    window_frames: int
    overlap_frames: int


@dataclass(frozen=True)
class Dump:
    """Layers of a `corpus`, to be written: `shard` of `num_shards`, in windows, as a `dtype`."""

    corpus: Corpus
    feature: Layers
    window_s: float = 30.0
    overlap_s: float = 4.0
    dtype: str = "float32"
    num_shards: int = 1
    shard: int = 0
    max_bad_share: float = MAX_BAD_SHARE

    def write(
        self, folder: Path, file_format: str, workers: Workers
    ) -> tuple[list[Path], dict[int, str]]:
        """Write the shard; interrupted and called again, it goes on. What is there stays.

        Returns its files, and the utterances that were left without frames by this call, with the
        reasons why their audio cannot be read. Raises BudgetError for windows that cannot be,
        layers that are not there, values beyond the `dtype`, too much bad audio, a missing package,
        and a folder in use.
        """
        files, cut = FORMATS[file_format](), self._cut()
        folder.mkdir(parents=True, exist_ok=True)
        lock, other = folder / f"{WORK_FOLDER}.lock", "another --out"
        with hold(lock, f"--shard {self.shard} of --out {folder}", other, part=self.shard):
            return self._write(folder, files, cut, workers)

    def _write(
        self, folder: Path, files: Format, cut: Cut, workers: Workers
    ) -> tuple[list[Path], dict[int, str]]:
        source = Source.of(self.corpus, self.feature)
        name = f"{self.corpus.path.stem}_{self.shard}_{self.num_shards}"
        settings = {
            "version": VERSION,
            "manifest": self.corpus.hash,
            "feature": self.feature.description,
            "teacher_sha256": source.feature.teacher_sha256,
            "windows": asdict(cut),
            "dtype": self.dtype,
        }
        parts, paths = Parts(folder, name, settings), files.paths(folder, name, self.feature.layers)
        unheard: dict[int, str] = {}
        if not all(is_done(path, settings) for path in paths):
            made = _Made(parts, _windows(source, cut), self.dtype, len(self.feature.layers))
            work = functools.partial(
                write_windows, source=source, cut=cut, parts=parts, dtype=self.dtype
            )
            run_tasks(workers, work, made.runs, parts, f"{name}: layers", "window")
            unheard = self._unheard(made)
            files.write(folder, parts.folder, self._shard(name, cut, made, unheard),
                        made.frames(unheard), settings)  # fmt: skip
        parts.remove()
        return paths, unheard

    def _cut(self) -> Cut:
        fits = MIN_WINDOW_S <= self.window_s <= MAX_WINDOW_S
        if not (fits and 0 <= 2 * self.overlap_s <= self.window_s):
            raise BudgetError(
                f"--window-seconds {self.window_s:g} --overlap-seconds {self.overlap_s:g}: "
                f"expected windows of {MIN_WINDOW_S:g} to {MAX_WINDOW_S:g} s, at least twice "
                "their overlap"
            )
        utterances = shard_range(len(self.corpus), self.num_shards, self.shard)
        window, overlap = (round(s * FRAME_RATE_HZ) for s in (self.window_s, self.overlap_s))
        return Cut(utterances.start, utterances.stop, window, overlap)

    def _unheard(self, made: _Made) -> dict[int, str]:
        """Why audio is bad, by its utterance; BudgetError where it is too much."""
        unheard = find_unheard(self.corpus, made.unheard().__contains__)
        if are_too_many(len(unheard), made.num_utterances, self.max_bad_share):
            made.discard(unheard)
            raise BudgetError(
                f"{len(unheard)} of {made.num_utterances} utterances of {self.corpus.path} cannot "
                f"be read, more than --max-bad-share {self.max_bad_share:g}: restore the files, or "
                f"write the manifest again without them:{listed(unheard.values())}"
            )
        return unheard

    def _shard(self, name: str, cut: Cut, made: _Made, unheard: Collection[int]) -> Shard:
        utterances = range(cut.first, cut.stop)
        frames = self.feature.num_frames(self.corpus.sizes[cut.first : cut.stop]).tolist()
        lengths = [
            0 if u in unheard else length for u, length in zip(utterances, frames, strict=True)
        ]
        ids = [self.corpus.name(utterance) for utterance in utterances]
        dim = load_extractor(self.feature).dim // made.num_layers
        return Shard(name, self.feature.layers, dim, self.dtype, ids, lengths)


def write_windows(task: Task, *, source: Source, cut: Cut, parts: Parts, dtype: str) -> int:
    """A part of layers: the frames (T, K * D) that are taken of a run of windows."""
    index, run = task
    windows = _windows(source, cut)
    stretches = [
        (int(windows.utterance[i]), int(windows.start[i]), int(windows.stop[i])) for i in run
    ]
    taken = [
        frames[windows.skip[i] : windows.skip[i] + windows.keep[i]]
        for i, frames in zip(run, source.heard(stretches), strict=True)
    ]
    with np.errstate(over="ignore"):
        frames = np.concatenate(taken).astype(dtype)
    if np.isinf(frames).any():
        raise BudgetError(
            f"a layer has values beyond {dtype} ({max(map(np.nanmax, map(np.abs, taken))):.3g}): "
            "take --dtype float32"
        )
    save_frames(parts, index, frames)
    return len(run)


@functools.lru_cache(maxsize=1)
def _windows(source: Source, cut: Cut) -> Windows:
    """The windows of a shard, by utterances of the whole corpus."""
    sizes = source.corpus.sizes[cut.first : cut.stop]
    windows = cut_windows(sizes, cut.window_frames, cut.overlap_frames)
    return replace(windows, utterance=windows.utterance + cut.first)


@dataclass(frozen=True)
class _Made:
    """The parts of a shard, and what is in them."""

    parts: Parts
    windows: Windows
    dtype: str
    num_layers: int

    @property
    def runs(self) -> dict[int, range]:
        return dict(enumerate(cut_parts(self.windows.stop - self.windows.start)))

    @property
    def num_utterances(self) -> int:
        return len(np.unique(self.windows.utterance))

    def unheard(self) -> set[int]:
        """The utterances of which some window could not be read."""
        found: set[int] = set()
        for index, run in self.runs.items():
            keep = self.windows.keep[run.start : run.stop]
            frames = load_frames(self.parts, index, self.dtype)
            firsts = (np.cumsum(keep) - keep)[keep > 0]
            bad = np.isnan(frames[firsts, 0])
            found |= set(self.windows.utterance[run.start : run.stop][keep > 0][bad].tolist())
        return found

    def discard(self, utterances: Collection[int]) -> None:
        """Have the parts of these utterances made again."""
        for index, run in self.runs.items():
            if not set(utterances).isdisjoint(
                self.windows.utterance[run.start : run.stop].tolist()
            ):
                self.parts.discard(index)

    def frames(self, unheard: Collection[int]) -> Iterator[NDArray[Any]]:
        """(T, K, D) of each part, without those of utterances that were not heard as a whole."""
        for index, run in self.runs.items():
            frames = load_frames(self.parts, index, self.dtype)
            frames = frames.reshape(len(frames), self.num_layers, -1)
            if unheard:
                own = slice(run.start, run.stop)
                is_heard = ~np.isin(self.windows.utterance[own], list(unheard))
                frames = frames[np.repeat(is_heard, self.windows.keep[own])]
            yield frames
