"""Manifests made of what other toolkits have: Lhotse's cuts and Kaldi's data folders.

Both are read line by line, without those toolkits, into ``{split}.tsv`` and a column of transcripts
``{split}.txt`` where there are any. Only recordings that are plain 16 kHz mono files are taken:
nothing read from a file is executed, so a pipe in ``wav.scp`` is refused, not run.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from fairseq_budget.audio.io import audio_info, find_mismatch
from fairseq_budget.corpus import column_path, description_path
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.manifest import Piece, Utterance, parse_utterance

TRANSCRIPTS = "txt"  # the name of the column


class Imported(NamedTuple):
    """An utterance, and its transcript if it has one."""

    utterance: Utterance
    text: str | None


def write_imported(
    manifest: Path, rows: Iterable[Imported], *, root: Path, progress: bool = True
) -> int:
    """Write a manifest below `root` and its transcripts, row by row; returns the number of rows.

    No column of transcripts is left where none of the rows has one.
    """
    text_path, num_rows, any_text = column_path(manifest, TRANSCRIPTS), 0, False
    digest = hashlib.sha256()
    with atomic_write(manifest, "wb") as file, atomic_write(text_path) as texts:
        file.write(f"{root}\n".encode())
        for row in tqdm(
            rows, desc=manifest.stem, unit=" lines", disable=None if progress else True
        ):
            line = f"{row.utterance.name}\t{row.utterance.num_samples}\n".encode()
            file.write(line)
            digest.update(line)
            texts.write(f"{row.text or ''}\n")
            num_rows, any_text = num_rows + 1, any_text or row.text is not None
        if not num_rows:
            raise BudgetError(f"there is nothing to put into {manifest}: no utterances were found")
    if not any_text:
        text_path.unlink()
        return num_rows
    description = {"name": TRANSCRIPTS, "rate": None, "manifest": digest.hexdigest()}
    with atomic_write(description_path(text_path)) as file:
        file.write(json.dumps({**description, "num_lines": num_rows}, indent=2) + "\n")
    return num_rows


def read_lhotse(path: Path) -> Iterator[Imported]:
    """Each cut of ``cuts.jsonl`` or ``cuts.jsonl.gz``; its transcript is that of its supervisions.

    Raises BudgetError, naming the line, for cuts that are mixed or altered, of another rate, of
    several channels, or not in a plain file.
    """
    for number, line in enumerate(_lines(path), start=1):
        try:
            yield _from_cut(json.loads(line))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise BudgetError(
                f"{path}, line {number}: {reason}; only MonoCuts of plain 16 kHz files can be "
                "imported: export the others with lhotse first"
            ) from error


def _from_cut(cut: dict[str, Any]) -> Imported:
    recording = cut["recording"]
    source = recording["sources"][0]
    rate = recording["sampling_rate"]
    if cut["type"] != "MonoCut" or recording.get("transforms"):
        raise ValueError(f"the cut {cut['id']} is a {cut['type']}, or its recording is transformed")
    if len(recording["sources"]) > 1 or source["type"] != "file" or source["channels"] != [0]:
        raise ValueError(f"the recording {recording['id']} is not one mono file")
    if rate != SAMPLE_RATE:
        raise ValueError(f"the recording {recording['id']} has {rate} Hz")
    start, num_samples = round(cut["start"] * rate), round(cut["duration"] * rate)
    texts = [said["text"] for said in cut.get("supervisions", []) if said.get("text") is not None]
    utterance = _segment(source["source"], start, num_samples, total=recording["num_samples"])
    return Imported(utterance, _one_line(" ".join(texts)) if texts else None)


def read_kaldi(folder: Path, root: Path) -> Iterator[Imported]:
    """Each utterance of a data folder: ``wav.scp``, with ``segments`` and ``text`` if they exist.

    Lengths are read from the headers of the files; relative ones lie below `root`. Raises
    BudgetError, naming the line, for pipes, archives, files that are not 16 kHz mono, and a
    ``text`` in another order.
    """
    texts = _KaldiTexts(folder / "text")
    if (folder / "segments").is_file():
        utterances = _kaldi_segments(folder, root)
    else:
        files = _kaldi_files(folder / "wav.scp", root)
        utterances = ((key, _segment(path, 0, total, total=total)) for key, path, total in files)
    for key, utterance in utterances:
        yield Imported(utterance, texts.find(key))


def _kaldi_segments(folder: Path, root: Path) -> Iterator[tuple[str, Utterance]]:
    files = {key: (path, total) for key, path, total in _kaldi_files(folder / "wav.scp", root)}
    for number, line in enumerate(_lines(folder / "segments"), start=1):
        try:
            key, recording, start_s, end_s = line.split()[:4]
            path, total = files[recording]
            start, end = round(float(start_s) * SAMPLE_RATE), round(float(end_s) * SAMPLE_RATE)
            num_samples = (end if end > 0 else total) - start  # -1: to the end of the recording
            yield key, _segment(path, start, num_samples, total=total)
        except (KeyError, ValueError) as error:
            raise BudgetError(
                f"{folder / 'segments'}, line {number}: {error}; expected `utterance recording "
                "start end` in seconds, within a recording of wav.scp"
            ) from error


def _kaldi_files(path: Path, root: Path) -> Iterator[tuple[str, str, int]]:
    """Key, path and samples of each line of ``wav.scp``."""
    for number, line in enumerate(_lines(path), start=1):
        key, _, name = line.strip().partition(" ")
        name = name.strip()
        if name.endswith("|") or name.startswith("|"):
            raise BudgetError(
                f"{path}, line {number}: {name[:80]!r} is a pipe, and nothing is executed here; "
                "write the audio to files first, and name those"
            )
        info = audio_info(root / name)
        if reason := find_mismatch(info):
            raise BudgetError(f"{path}, line {number}: {name}: {reason}; convert it first")
        yield key, name, info.num_samples


class _KaldiTexts:
    """The lines of ``text``, which stand in the order of the utterances, some perhaps missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = enumerate(_lines(path) if path.is_file() else (), start=1)
        self._number, self._key, self._text = 0, "", ""
        self._advance()

    def find(self, key: str) -> str | None:
        if self._key != key:
            if self._key and self._key < key:
                raise BudgetError(
                    f"{self._path}, line {self._number}: {self._key} is not the next utterance, "
                    f"{key}; sort the folder as utils/fix_data_dir.sh does"
                )
            return None
        text = self._text
        self._advance()
        return text

    def _advance(self) -> None:
        self._number, line = next(self._lines, (self._number, ""))
        self._key, _, self._text = line.strip().partition(" ")


def _segment(path: str, start: int, num_samples: int, *, total: int) -> Utterance:
    """Part of a file of `total` samples, or the whole file where it is all of it."""
    if start < 0 or num_samples < 1 or start + num_samples > total:
        raise ValueError(
            f"samples {start} to {start + num_samples} do not lie within the {total} of {path}"
        )
    whole = start == 0 and num_samples == total
    piece = Piece(path) if whole else Piece(path, start, num_samples)
    if "\t" in path or "\n" in path:
        raise ValueError(f"the path {path!r} holds a tab or newline")
    return parse_utterance(str(piece), num_samples)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _lines(path: Path) -> Iterator[str]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8") as file
        ):
            yield from file
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BudgetError(f"cannot read {path}: {error}; name a file of text") from error
