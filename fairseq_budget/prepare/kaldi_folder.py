"""Kaldi's data folders as utterances to import: ``wav.scp``, ``segments`` and ``text``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fairseq_budget.audio.io import audio_info, find_mismatch
from fairseq_budget.corpus.manifest import Utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.prepare.imported import Imported, numbered_lines, part_of

MAX_OVERSHOOT = SAMPLE_RATE // 2  # of a segment beyond its recording: Kaldi's own


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
        utterances = ((key, part_of(path, 0, total, total=total)) for key, path, total in files)
    key = ""
    for key, utterance in utterances:
        yield Imported(utterance, texts.find(key))
    texts.require_end(key)


def _kaldi_segments(folder: Path, root: Path) -> Iterator[tuple[str, Utterance]]:
    files = {key: (path, total) for key, path, total in _kaldi_files(folder / "wav.scp", root)}
    for number, line in numbered_lines(folder / "segments"):
        try:
            key, recording, start_s, end_s = line.split()[:4]
            path, total = files[recording]
            start, end = round(float(start_s) * SAMPLE_RATE), round(float(end_s) * SAMPLE_RATE)
            if end <= 0 or total < end <= total + MAX_OVERSHOOT:
                end = total  # -1 stands for it
            yield key, part_of(path, start, end - start, total=total)
        except (KeyError, ValueError, OverflowError) as error:
            raise BudgetError(
                f"{folder / 'segments'}, line {number}: {error}; expected `utterance recording "
                "start end` in seconds, within a recording of wav.scp"
            ) from error


def _kaldi_files(path: Path, root: Path) -> Iterator[tuple[str, str, int]]:
    """Key, path and samples of each line of ``wav.scp``."""
    for number, line in numbered_lines(path):
        key, name = _first_word(line)
        if not name:
            raise BudgetError(f"{path}, line {number}: {key!r} names no file; expected `key file`")
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
        self._lines = numbered_lines(path) if path.is_file() else iter(())
        self._number, self._key, self._text = 0, "", ""
        self._advance()

    def find(self, key: str) -> str | None:
        if self._key != key:
            if self._key and self._key < key:
                raise self._out_of_order(f"is not the next utterance, {key}")
            return None
        text = self._text
        self._advance()
        return text

    def require_end(self, last: str) -> None:
        """Insist that what is left over belongs to later utterances than the last one."""
        if self._key and self._key < last:
            raise self._out_of_order(f"does not come after {last}")

    def _advance(self) -> None:
        self._number, line = next(self._lines, (self._number, ""))
        self._key, self._text = _first_word(line)

    def _out_of_order(self, what: str) -> BudgetError:
        return BudgetError(
            f"{self._path}, line {self._number}: {self._key} {what}; sort the folder as "
            "utils/fix_data_dir.sh does"
        )


def _first_word(line: str) -> tuple[str, str]:
    """The first word of a line and the rest of it."""
    first, rest = [*line.split(maxsplit=1), "", ""][:2]
    return first, rest.strip()
