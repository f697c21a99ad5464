"""Sound files that several kinds are made of, and what is asked of what is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_budget.audio.io import write_audio
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.frames import SAMPLE_RATE

LONGEST = 10**12  # samples: two years
SIZES = (3200, 4000, 5600)
TEXTS = ("the dog", "", "zwölf cats")


def require(is_so: bool, what: object) -> None:
    if not is_so:
        raise AssertionError(f"read as {what!r:.200}")


def write_noise(folder: Path, name: str, size: int) -> None:
    samples = np.random.default_rng(size).uniform(-0.5, 0.5, size).astype(np.float32)
    write_audio(folder / name, samples, SAMPLE_RATE)


def write_corpus(folder: Path) -> Path:
    names = [f"{index}.wav" for index in range(len(SIZES))]
    for name, size in zip(names, SIZES, strict=True):
        write_noise(folder, name, size)
    own = (Utterance((Piece(n),), s) for n, s in zip(names[:2], SIZES, strict=False))
    joined = Utterance((Piece("2.wav", 100, 5000), Piece("0.wav", 0, 600)), SIZES[2])
    Manifest(folder, [*own, joined]).write(folder / "train.tsv")
    return folder / "train.tsv"


def check_utterances(content: Any) -> None:
    rows = content[1]
    require(all(name and "\0" not in name for name, _ in rows), rows)
    require(all(0 < size <= LONGEST for _, size in rows), rows)
    require(content[-1] == sum(size for _, size in rows), content[-1])


def check_rate(content: Any) -> None:
    require(content[-1] is None or 0 < content[-1] < 1e6, content)


def text_file(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return make
