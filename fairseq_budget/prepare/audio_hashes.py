"""What the utterances of a manifest sound like, as a column of hashes.

Audio that was replaced by other audio of the same length is found by it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from fairseq_budget.audio.io import AudioError
from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.prepare.processes import CHUNK, mapper

COLUMN = "audio"


def write_audio_hashes(manifest: Path, num_workers: int) -> Path:
    """Write ``{split}.audio``: a hash of each utterance's samples, empty of what cannot be read."""
    return write_column(manifest, COLUMN, _hashes(read_text(manifest), num_workers), None)


def changed_audio(manifest: Path, num_workers: int) -> list[str]:
    """The utterances whose samples are not what they were.

    Raises BudgetError where no hashes were written for this manifest.
    """
    corpus = read_text(manifest, [COLUMN])
    before = corpus.open_column(COLUMN)
    return [
        corpus.name(index)
        for index, sha256 in enumerate(_hashes(corpus, num_workers))
        if sha256 != before[index]
    ]


def _hashes(corpus: Corpus, num_workers: int) -> Iterator[str]:
    num_workers = max(1, min(num_workers, len(corpus) // CHUNK))
    with mapper(num_workers) as run:
        found = run(functools.partial(_hash, corpus.path), range(len(corpus)))
        yield from Progress(found, total=len(corpus), desc=corpus.path.stem, unit="utterance")


def _hash(manifest: Path, index: int) -> str:
    """SHA-256 of the samples, the same whatever lossless format they are in."""
    try:
        return hashlib.sha256(_open(manifest).read(index).tobytes()).hexdigest()
    except AudioError:
        return ""


@functools.cache
def _open(manifest: Path) -> Corpus:
    return read_text(manifest)
