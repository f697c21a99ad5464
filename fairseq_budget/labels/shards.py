"""Features on disk, in the layout of simple_kmeans, for those who ask for them.

``{split}_{shard}_{num_shards}.npy`` holds the frames of a shard's utterances one after the other,
``.len`` their number, one utterance to a line. Features take about 70 times the room of the audio
that they come from; labelling never needs them on disk.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, sha256_file, write_json
from fairseq_budget.labels.features import Feature
from fairseq_budget.labels.fitting import VERSION
from fairseq_budget.labels.jobs import Source, load_frames, run_tasks, write_features
from fairseq_budget.labels.parts import Parts, Workers, cut_parts, shard_range
from fairseq_budget.structured import conform, read_json

_HASHES = "sha256"  # of the files of a dump, by their suffix


def dump_features(
    corpus: Corpus,
    feature: Feature,
    folder: Path,
    workers: Workers,
    *,
    num_shards: int = 1,
    shard: int = 0,
) -> Path:
    """Write the features of one shard of a corpus; interrupted and called again, it goes on.

    Returns the path of the ``.npy``. A dump of other features or of another manifest, or one that
    was damaged since, is replaced.
    Raises BudgetError when npy-append-array is missing, or the shard is empty.
    """
    utterances = shard_range(len(corpus), num_shards, shard)
    if not utterances:
        raise BudgetError(f"{len(corpus)} utterances for {num_shards} shards; take fewer shards")
    source = Source.of(corpus, feature)
    name = f"{corpus.path.stem}_{shard}_{num_shards}"
    settings = {
        "version": VERSION,
        "manifest": corpus.hash,
        "feature": feature.description,
        "teacher_sha256": source.feature.teacher_sha256,
    }
    path, parts = folder / f"{name}.npy", Parts(folder, name, settings)
    if not is_done(path, settings):
        first = utterances.start
        sizes = corpus.sizes[first : utterances.stop]
        runs = [range(first + run.start, first + run.stop) for run in cut_parts(sizes)]
        work = functools.partial(write_features, source=source, parts=parts)
        run_tasks(workers, work, dict(enumerate(runs)), parts, f"{name}: features")
        whole = parts.folder / "whole"
        append_frames([whole], ([load_frames(parts, index)] for index in range(len(runs))))
        finish(whole, path, {".len": map(str, feature.num_frames(sizes).tolist())}, settings)
    parts.remove()
    return path


def is_done(path: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the dump is there, of these settings and, but for older versions', undamaged."""
    try:
        note = read_json(path.with_suffix(".json"), dict)
        hashes = conform(note.pop(_HASHES, {}), dict[str, str])
        files = {suffix: sha256_file(path.with_suffix(suffix)) for suffix in hashes}
    except (OSError, ValueError):
        return False
    return bool(note == settings and hashes == files)


def append_frames(files: Sequence[Path], pieces: Iterable[Sequence[NDArray[Any]]]) -> None:
    """Write ``.npy`` files side by side: each piece has the next frames (T, D) of every file."""
    try:
        from npy_append_array import NpyAppendArray
    except ModuleNotFoundError as error:
        raise BudgetError(
            "features on disk need npy-append-array; pip install 'fairseq_budget[labels]'"
        ) from error
    with ExitStack() as stack:
        arrays = [stack.enter_context(NpyAppendArray(f, delete_if_exists=True)) for f in files]
        for piece in pieces:
            for array, frames in zip(arrays, piece, strict=True):
                array.append(np.ascontiguousarray(frames))


def finish(
    whole: Path, path: Path, texts: Mapping[str, Iterable[str]], settings: Mapping[str, Any]
) -> None:
    """Move a `whole` file to `path`, and write beside it texts by their suffixes, and the note.

    The note, ``.json``, comes last: it holds the settings, and the hashes that `is_done` checks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    whole.replace(path)
    for suffix, lines in texts.items():
        with atomic_write(path.with_suffix(suffix)) as file:
            file.writelines(f"{line}\n" for line in lines)
    hashes = {suffix: sha256_file(path.with_suffix(suffix)) for suffix in (path.suffix, *texts)}
    write_json(path.with_suffix(".json"), {**settings, _HASHES: hashes}, sort_keys=False)
