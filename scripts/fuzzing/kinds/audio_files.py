"""Sound files, alone and in archives."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_budget.audio.archives import list_members, open_bytes
from fairseq_budget.audio.check import inspect
from fairseq_budget.audio.io import read_audio, write_audio
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fuzzing.kinds.made import require
from fuzzing.reader import Reader


def _zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("é/one.wav", bytes(100))
        archive.writestr("two.wav", b"two" * 50)
    return folder / "a.zip"


def _tar(folder: Path) -> Path:
    for name, size in (("one.wav", 700), ("x" * 120 + ".wav", 300)):
        (folder / name).write_bytes(bytes(size))
    with tarfile.open(folder / "a.tar", "w") as archive:
        for path in sorted(folder.glob("*.wav")):
            archive.add(path, path.name)
    return folder / "a.tar"


def _read_archive(path: Path) -> Any:
    found = list_members(path)
    for member in found:
        with open_bytes(f"{path}:{member.offset}:{member.length}") as file:
            require(len(file.read()) == member.length, member)
    return found


def _check_members(members: Any) -> None:
    for name, offset, length in members:
        require(bool(name) and "\0" not in name and offset > 0 and length >= 0, name)


def _audio(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import soundfile

        samples = np.random.default_rng(0).uniform(-0.5, 0.5, 4800).astype(np.float32)
        if name.endswith((".wav", ".flac")):
            write_audio(folder / name, samples, SAMPLE_RATE)
        else:
            kind = {"sph": "NIST"}.get(name.rpartition(".")[2], name.rpartition(".")[2].upper())
            soundfile.write(folder / name, samples, SAMPLE_RATE, format=kind)
        return folder / name

    return make


def _read_audio(path: Path) -> Any:
    if reason := inspect(path, full=True):
        raise BudgetError(reason)
    return read_audio(path).tolist()


def _check_audio(samples: Any) -> None:
    require(all(-1 <= sample <= 1 for sample in samples), samples)


READERS = (
    Reader("zip", _zip, _read_archive, _check_members),
    Reader("tar", _tar, _read_archive, _check_members),
    *(
        Reader(kind, _audio(f"a.{kind}"), _read_audio, _check_audio)
        for kind in ("wav", "rf64", "w64", "aiff", "au", "sph", "flac", "ogg", "mp3")
    ),
)  # fmt: skip
