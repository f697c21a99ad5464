"""Features on disk, in the layout of simple_kmeans, for those who ask for them.

``{split}_{shard}_{num_shards}.npy`` holds the frames of a shard's utterances one after the other,
``.len`` their number, one utterance to a line. Features take about 70 times the room of the audio
that they come from; labelling never needs them on disk.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, sha256_file
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
    if not _is_done(path, settings):
        first = utterances.start
        sizes = corpus.sizes[first : utterances.stop]
        runs = [range(first + run.start, first + run.stop) for run in cut_parts(sizes)]
        work = functools.partial(write_features, source=source, parts=parts)
        run_tasks(workers, work, dict(enumerate(runs)), parts, f"{name}: features")
        _join(parts, len(runs), path, feature.num_frames(sizes).tolist(), settings)
    parts.remove()
    return path


def _is_done(path: Path, settings: dict[str, Any]) -> bool:
    """Whether the dump is there, of these settings and, but for older versions', undamaged."""
    try:
        note = read_json(path.with_suffix(".json"), dict)
        hashes = conform(note.pop(_HASHES, {}), dict[str, str])
        files = {suffix: sha256_file(path.with_suffix(suffix)) for suffix in hashes}
    except (OSError, ValueError):
        return False
    return bool(note == settings and hashes == files)


def _join(
    parts: Parts, num_parts: int, path: Path, lengths: list[int], settings: dict[str, Any]
) -> None:
    try:
        from npy_append_array import NpyAppendArray
    except ModuleNotFoundError as error:
        raise BudgetError(
            "--dump-features needs npy-append-array; pip install 'fairseq_budget[labels]'"
        ) from error
    path.with_suffix(".json").unlink(missing_ok=True)
    whole = parts.folder / "whole"
    with NpyAppendArray(whole, delete_if_exists=True) as file:
        for index in range(num_parts):
            file.append(load_frames(parts, index))
    Path(whole).replace(path)
    with atomic_write(path.with_suffix(".len")) as lines:
        lines.writelines(f"{length}\n" for length in lengths)
    hashes = {suffix: sha256_file(path.with_suffix(suffix)) for suffix in (".npy", ".len")}
    with atomic_write(path.with_suffix(".json")) as note:
        note.write(json.dumps({**settings, _HASHES: hashes}, indent=2) + "\n")
