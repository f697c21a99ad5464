"""Where hidden states are kept: in the memory of a process, or on disk for all runs to come.

On disk each process appends to a file of its own, so that any number of them share a folder without
locks: states first, then their line of the index, which alone makes them known to others.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import secrets
import struct
import zlib
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError

_RECORD = struct.Struct("<16sQIIII")  # key, where, layers, frames, dimensions, check sum
STATES, INDEX = ".states", ".index"

logger = logging.getLogger(__name__)


class Store(Protocol):
    """States (layers, T, D) of utterances, by a key of 16 bytes.

    alone: each is to be computed of its utterance alone, not in a batch.
    """

    num_bytes: int
    alone: bool

    def get(self, key: bytes) -> Tensor | None:
        """What was put there, None if nothing was."""

    def put(self, key: bytes, states: Tensor) -> Tensor:
        """Keep an utterance, as long as there is room; returns what `get` would."""


class MemoryStore:
    """Up to `max_bytes` in this process."""

    alone = False

    def __init__(self, max_bytes: float) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0
        self._states: dict[bytes, Tensor] = {}

    def get(self, key: bytes) -> Tensor | None:
        return self._states.get(key)

    def put(self, key: bytes, states: Tensor) -> Tensor:
        num_bytes = states.numel() * states.element_size()
        if self.num_bytes + num_bytes <= self.max_bytes:
            self._states[key] = states
            self.num_bytes += num_bytes
        return states


class _Place(NamedTuple):
    file: Path
    start: int
    shape: tuple[int, int, int]
    check_sum: int


class DiskStore:
    """Up to `max_bytes` of all models in ``folder``, in half precision; one folder a model.

    fingerprint: of the model, whose states no other model must get. A state with a changed byte, or
    that a kill has cut short, is as good as none. Whatever is put in is rounded, kept or not, and
    of its utterance alone: what a run hears does not depend on the runs before it.
    """

    alone = True

    def __init__(self, folder: Path, fingerprint: str, max_bytes: float) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0
        self._folder, self._root = folder / fingerprint, folder
        self._places: dict[bytes, _Place] = {}
        self._read: dict[Path, int] = {}  # bytes of each index that are known
        self._own = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._is_full = False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BudgetError(
                f"cache_folder: cannot make {self._folder} ({error.strerror}); choose a folder "
                "that you may write to"
            ) from error
        self._look()

    def get(self, key: bytes) -> Tensor | None:
        if key not in self._places:
            self._look()
        place = self._places.get(key)
        if place is None:
            return None
        try:
            with place.file.open("rb") as file:
                file.seek(place.start)
                values = np.fromfile(file, np.float16, math.prod(place.shape))
        except OSError:  # removed by whoever needed the room
            values = np.empty(0, np.float16)
        if zlib.crc32(values.tobytes()) != place.check_sum:
            del self._places[key]
            return None
        return torch.from_numpy(values.reshape(place.shape)).float()

    def put(self, key: bytes, states: Tensor) -> Tensor:
        halves = states.half()
        if not halves.isfinite().all():  # too large for one
            return states
        if not self._is_full:
            self._keep(key, halves.cpu().numpy())
        return halves.to(states.dtype)

    def _keep(self, key: bytes, values: NDArray[np.float16]) -> None:
        self.num_bytes = _bytes_below(self._root)
        try:
            if self.num_bytes + values.nbytes > self.max_bytes:
                raise OSError(None, f"cache_gib={self.max_bytes / 2**30:g} are used up")
            self._append(key, values)
        except OSError as error:
            self._is_full = True
            logger.warning(
                f"{self._root} takes no more hidden states ({error.strerror}); what is not in it "
                "is computed in each epoch. Give it more room, or remove it when no run is on"
            )

    def _append(self, key: bytes, values: NDArray[np.float16]) -> None:
        content = values.tobytes()
        with self._own.with_suffix(STATES).open("ab") as states:
            start = states.tell()
            states.write(content)
        with self._own.with_suffix(INDEX).open("ab") as index:
            index.write(_RECORD.pack(key, start, *values.shape, zlib.crc32(content)))
        self.num_bytes += values.nbytes

    def _look(self) -> None:
        """Learn what other processes, and this one, have added."""
        for path in self._folder.glob(f"*{INDEX}"):
            known = self._read.get(path, 0)
            if path.stat().st_size == known:
                continue
            with path.open("rb") as file:
                file.seek(known)
                added = file.read()
            added = added[: len(added) // _RECORD.size * _RECORD.size]
            for key, start, layers, frames, size, check_sum in _RECORD.iter_unpack(added):
                place = _Place(path.with_suffix(STATES), start, (layers, frames, size), check_sum)
                self._places[key] = place
            self._read[path] = known + len(added)


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"*/*{STATES}"))


def fingerprint(encoder: nn.Module) -> str:
    """Of the weights and the shape of an encoder: 32 hexadecimal digits."""
    digest = hashlib.blake2b(repr(encoder).encode(), digest_size=16)
    for name, value in encoder.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
