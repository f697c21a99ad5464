"""The files that layers are written to, ``.npy`` or HDF5; the only import of h5py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.shards import append_frames, finish


@dataclass(frozen=True)
class Shard:
    """What is known of a shard before its frames: `lengths` and `ids` of its utterances."""

    name: str
    layers: Sequence[int]
    dim: int
    dtype: str
    ids: Sequence[str]
    lengths: Sequence[int]


class Format(Protocol):
    """A way to write a shard; pieces are its frames in order, (T, K, D) of K layers."""

    def paths(self, folder: Path, name: str, layers: Sequence[int], /) -> list[Path]:
        """The files of a shard that hold frames; each has a ``.json`` beside it."""

    def write(
        self,
        folder: Path,
        work: Path,
        shard: Shard,
        pieces: Iterable[NDArray[Any]],
        settings: Mapping[str, Any],
    ) -> None:
        """Write the files of a shard, by way of the folder `work`."""


class Npy:
    """``layer_6/{name}.npy``, and beside it ``.len``, as fairseq reads them, and ``.tsv``."""

    def paths(self, folder: Path, name: str, layers: Sequence[int]) -> list[Path]:
        return [folder / f"layer_{layer}" / f"{name}.npy" for layer in layers]

    def write(
        self,
        folder: Path,
        work: Path,
        shard: Shard,
        pieces: Iterable[NDArray[Any]],
        settings: Mapping[str, Any],
    ) -> None:
        wholes = [work / f"whole_{layer}" for layer in shard.layers]
        append_frames(wholes, (list(piece.swapaxes(0, 1)) for piece in pieces))
        lengths = list(map(str, shard.lengths))
        table = ["id\tframes", *map("\t".join, zip(shard.ids, lengths, strict=True))]
        paths = self.paths(folder, shard.name, shard.layers)
        for whole, path in zip(wholes, paths, strict=True):
            finish(whole, path, {".len": lengths, ".tsv": table}, settings)


class Hdf5:
    """``{name}.h5``: ``layer_6`` (T, D) and so on, ``lengths`` (U,) int64 and ``ids`` (U,)."""

    def __init__(self) -> None:
        if find_spec("h5py") is None:
            raise BudgetError("--format hdf5 needs h5py; pip install 'fairseq_budget[hdf5]'")

    def paths(self, folder: Path, name: str, _layers: Sequence[int]) -> list[Path]:
        return [folder / f"{name}.h5"]

    def write(
        self,
        folder: Path,
        work: Path,
        shard: Shard,
        pieces: Iterable[NDArray[Any]],
        settings: Mapping[str, Any],
    ) -> None:
        import h5py

        whole, shape = work / "whole", (sum(shard.lengths), shard.dim)
        with h5py.File(whole, "w") as file:
            file["lengths"] = np.array(shard.lengths, np.int64)
            file.create_dataset("ids", data=list(shard.ids), dtype=h5py.string_dtype())
            names = [f"layer_{layer}" for layer in shard.layers]
            states = [file.create_dataset(name, shape, shard.dtype) for name in names]
            start = 0
            for piece in pieces:
                for place, layer in enumerate(states):
                    layer[start : start + len(piece)] = piece[:, place]
                start += len(piece)
        finish(whole, self.paths(folder, shard.name, shard.layers)[0], {}, settings)


FORMATS: dict[str, type[Npy] | type[Hdf5]] = {"npy": Npy, "hdf5": Hdf5}
