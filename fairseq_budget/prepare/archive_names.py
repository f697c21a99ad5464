"""Names of audio inside archives, whose paths are places in bytes.

The column ``{split}.name`` holds column 1 of the manifest with names in place of paths:
``speech.zip/alice/1.flac`` where the manifest has ``speech.zip:42:43318``, joined pieces likewise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from fairseq_budget.audio.archives import file_of
from fairseq_budget.corpus.column import Column, column_path, write_column
from fairseq_budget.corpus.manifest import Manifest, Utterance, parse_utterance

COLUMN = "name"


def write_names(manifest_path: Path, manifest: Manifest, names: Mapping[str, str]) -> None:
    """Write the column beside a manifest that was just written, if any of it is in an archive.

    Without `names` there is nothing to write.
    """
    if names and any(_in_archive(manifest)):
        lines = (_renamed(utterance, names).name for utterance in manifest.utterances)
        write_column(manifest_path, COLUMN, lines, None)


def read_names(manifest_path: Path, manifest: Manifest) -> dict[str, str]:
    """The name of each path of a manifest; none where its paths are names, or there is no column.

    Raises BudgetError for a column that was made for another manifest.
    """
    if not column_path(manifest_path, COLUMN).is_file() or not any(_in_archive(manifest)):
        return {}
    lines = Column.open(manifest_path, COLUMN, manifest.hash, len(manifest.utterances))
    names = {}
    for index, utterance in enumerate(manifest.utterances):
        named = parse_utterance(lines[index], utterance.num_samples)
        for piece, other in zip(utterance.pieces, named.pieces, strict=True):
            names[piece.path] = other.path
    return names


def _in_archive(manifest: Manifest) -> Iterator[bool]:
    pieces = (piece for utterance in manifest.utterances for piece in utterance.pieces)
    return (file_of(piece.path) != piece.path for piece in pieces)


def _renamed(utterance: Utterance, names: Mapping[str, str]) -> Utterance:
    pieces = (piece._replace(path=names.get(piece.path, piece.path)) for piece in utterance.pieces)
    return Utterance(tuple(pieces), utterance.num_samples)
