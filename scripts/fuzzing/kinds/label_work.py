"""What making labels leaves on disk: centroids, parts of features and of labels."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_budget.corpus.column_kinds import model_path
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.features import Feature
from fairseq_budget.labels.jobs import load_frames, read_rows
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.labelling import load_model
from fairseq_budget.labels.parts import Parts
from fuzzing.codecs import DIGEST, SAFETENSORS
from fuzzing.kinds.made import check_rate, require
from fuzzing.reader import Reader


def _centroids(folder: Path) -> Path:
    centroids = np.random.default_rng(0).standard_normal((4, 39)).astype(np.float32)
    made = {"feature": Feature().description, "rate": 100, "teacher_sha256": None, "seed": 0}
    KMeans(centroids, made).save(model_path(folder, "km"))
    return model_path(folder, "km")


def _read_centroids(path: Path) -> Any:
    model = load_model(path.parent, Feature())
    if b"sha256" not in path.read_bytes().replace(b"teacher_sha256", b""):
        raise BudgetError("as an older version wrote it: nothing guards it")
    frames = np.ones((2, 39), np.float32)
    return model.centroids.tolist(), model.assign(frames).tolist(), model.description["rate"]


def _check_centroids(content: Any) -> None:
    require(bool(np.isfinite(content[0]).all()), content[0])
    require(np.ndim(content[0]) == 2, content[0])
    check_rate(content)


def _part(content: Callable[[Parts], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        parts = Parts(folder, "task", {})
        content(parts)
        return parts.path(0)

    return make


def _write_frames(parts: Parts) -> None:
    content = io.BytesIO()
    np.save(content, np.ones((5, 39), np.float32))
    parts.write(0, content.getvalue())


def _parts_of(path: Path) -> Parts:
    return Parts(path.parents[3], "task", {})


def _read_frames(path: Path) -> Any:
    frames = load_frames(_parts_of(path), 0)
    require(frames.dtype == np.float32 and frames.ndim == 2, (frames.dtype, frames.shape))
    return frames.tolist()


_OF_PARTS = (BudgetError, FileNotFoundError)  # a part that is not there is made again


READERS = (
    Reader("centroids", _centroids, _read_centroids, _check_centroids, True, SAFETENSORS),
    Reader("part of features", _part(_write_frames), _read_frames, is_guarded=True,
           named=_OF_PARTS),
    Reader("part of features, signed", _part(_write_frames), _read_frames, shell=DIGEST,
           named=_OF_PARTS),
    Reader("part of labels", _part(lambda parts: parts.write(0, b"1 2\n\n3\n")),
           lambda p: list(read_rows(_parts_of(p), 1)), is_guarded=True, named=_OF_PARTS),
)  # fmt: skip
