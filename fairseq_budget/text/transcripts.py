"""Transcripts of a manifest's utterances, from the files in which corpora keep them.

lines      ``train.wrd``, ``train.ltr``, ``train.phn``: one per utterance, in the manifest's order
a table    the demo corpus's ``utterances.tsv`` and ``phones.tsv``
a folder   LibriSpeech's, with ``*.trans.txt`` anywhere below

Tables and folders know recordings by the name of their file without folder and extension, so they
fit manifests of whole files only.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from fairseq_budget.corpus.manifest import Manifest, Utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.structured import read_table
from fairseq_budget.text.alignments import COLUMNS, read_spans
from fairseq_budget.text.wer import spell

SILENCES = frozenset({"", "sil", "sp", "spn"})
"""Aligners' words for silence; no phones, and no labels of a recogniser."""

Found = TypeVar("Found")


def read_transcripts(path: str | Path, manifest: Manifest) -> list[str]:
    """The words of each utterance, a blank between two, in the manifest's order.

    Letters of a ``.ltr`` file (``T H E | D O G |``) and word pieces of a ``.bpe`` file
    (``▁THE ▁DO G``) are joined again. Raises BudgetError where the file does not fit the manifest.
    """
    path = Path(path)
    if path.is_dir():
        texts = _of_each(read_librispeech(path), manifest, path)
    elif {"path", "transcript"} <= set((lines := _read_lines(path))[0].split("\t")):
        texts = _of_each(_read_table(path), manifest, path)
    else:
        texts = _aligned(lines, manifest, path)
    if path.suffix in (".ltr", ".bpe"):
        texts = [spell(text.split()) for text in texts]
    return [" ".join(text.split()) for text in texts]


def read_phones(path: str | Path, manifest: Manifest) -> list[list[str]]:
    """The phones of each utterance in the manifest's order, silences left out.

    `path` holds lines of phones, or the table ``utterance_id start_s end_s phone``.
    """
    path = Path(path)
    lines = _read_lines(path)
    if tuple(lines[0].split("\t")) == COLUMNS:
        spans = _of_each(read_spans(path), manifest, path)
        rows = [[phone for _, _, phone in row] for row in spans]
    else:
        rows = [line.split() for line in _aligned(lines, manifest, path)]
    return [[phone for phone in row if phone not in SILENCES] for row in rows]


def _reading(path: Path) -> AbstractContextManager[None]:
    return reading(
        f"the transcripts {path}",
        "expected lines of text, one for each utterance, or a folder of *.trans.txt",
    )


def _read_lines(path: Path) -> list[str]:
    with _reading(path):
        lines = path.read_text(encoding="utf-8").splitlines()
    if not lines:
        raise BudgetError(f"{path} is empty; expected one line for each utterance")
    return lines


def _read_table(path: Path) -> dict[str, str]:
    with _reading(path):
        header, *rows = read_table(path)
        place, text = header.index("path"), header.index("transcript")
        return {Path(row[place]).stem: row[text] for row in rows}


def read_librispeech(folder: Path) -> dict[str, str]:
    """The words of each recording in all ``*.trans.txt`` below a folder, by its name."""
    paths = sorted(folder.rglob("*.trans.txt"))
    if not paths:
        raise BudgetError(f"no *.trans.txt lies below {folder}, as in LibriSpeech")
    lines = (line for path in paths for line in _read_lines(path))
    return {name: text for name, _, text in (line.partition(" ") for line in lines)}


def _aligned(lines: list[str], manifest: Manifest, path: Path) -> list[str]:
    if len(lines) != (size := len(manifest.utterances)):
        raise BudgetError(
            f"{path} has {len(lines)} lines, but its manifest has {size} utterances; expected one "
            "line for each, in the same order"
        )
    return lines


def _of_each(found: Mapping[str, Found], manifest: Manifest, path: Path) -> list[Found]:
    names = [_recording(utterance, path) for utterance in manifest.utterances]
    missing = [name for name in names if name not in found]
    if missing:
        raise BudgetError(
            f"{path} lacks {len(missing)} of the {len(names)} utterances, {missing[0]!r} first; "
            "give the transcripts of this manifest"
        )
    return [found[name] for name in names]


def _recording(utterance: Utterance, path: Path) -> str:
    if utterance.pieces[0].num_samples is not None:
        raise BudgetError(
            f"{path} knows whole recordings, but the manifest joins pieces of them "
            f"({utterance.name[:80]}); give the manifest that was cut, or one line per utterance"
        )
    return Path(utterance.pieces[0].path).stem
