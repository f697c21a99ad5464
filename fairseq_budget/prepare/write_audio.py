"""A cut manifest as flac files, for other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fairseq_budget.audio.io import write_audio
from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.column import column_names, write_column
from fairseq_budget.corpus.labels import copy_dictionary
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance, read_lines
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE


def write_files(cut: Path, folder: Path, speaker_of: Callable[[str], str]) -> Path:
    """Make a 16-bit flac of each utterance of the manifest `cut`, and a manifest of them.

    ``{folder}/{split}/{speaker}/{number}.flac``, with the columns of `cut` beside
    ``{folder}/{split}.tsv``. Files that are there are kept, so that the same command goes on where
    it was stopped; ``{split}.pieces`` says what they were made of. Returns the new manifest's path.
    Raises BudgetError if the folder holds the files of another manifest.
    """
    corpus = read_text(cut)
    _claim(folder / f"{cut.stem}.pieces", cut)
    utterances = []
    for index in Progress(range(len(corpus)), desc=f"{folder.name}/{cut.stem}"):
        speaker = _folder_name(speaker_of(corpus.utterance(index).pieces[0].path))
        path = f"{cut.stem}/{speaker}/{index:07}.flac"
        if not (folder / path).exists():
            write_audio(folder / path, corpus.read(index), SAMPLE_RATE)
        utterances.append(Utterance((Piece(path),), int(corpus.sizes[index])))
    destination = folder / cut.name
    Manifest(folder.absolute(), utterances).write(destination)
    for column in map(corpus.open_column, column_names(cut)):
        lines = (column[index] for index in range(len(column)))
        write_column(destination, column.name, lines, column.rate, more=column.description)
        copy_dictionary(column.name, cut.parent, folder)
    return destination


def _claim(record: Path, cut: Path) -> None:
    """Note in `record` what the files beside it are made of, or find that they are of the same."""
    if not record.exists():
        Manifest.read(cut).write(record)
    elif read_lines(record) != read_lines(cut):
        raise BudgetError(
            f"{record.parent} holds the audio of another cut; name another folder with "
            "--write-audio, or remove it"
        )


def _folder_name(speaker: str) -> str:
    return speaker.replace("/", "_").strip(".") or "speaker"
