"""Labelled recordings in a folder, chosen and split by the fields of their names.

Labels come from file names (``7_jackson_31.wav`` under the pattern ``{label}_{speaker}_{take}``)
or from a table, such as ``utterances.tsv`` beside the audio. A filter such as ``take=10-49
speaker=george,lucas`` keeps the recordings whose every named field has one of the values.
"""

from __future__ import annotations

import random
import re
import string
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.structured import read_table
from fairseq_budget.text.alignments import Span, read_spans
from fairseq_budget.text.transcripts import SILENCES, read_librispeech

TABLE, PHONES, WORDS = "utterances.tsv", "phones.tsv", "words.tsv"
SNIPS_TABLE = "all.iob.snips.txt"
LIBRISPEECH = {"train": "train-clean-100", "valid": "dev-clean", "test": "test-clean"}
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)%")
_RANGE = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True)
class Recording:
    """An audio file and what is known of it: ``label``, ``speaker``, ``take``, ...

    ``made_at``: where a file that is being made for ``path`` lies until its layout is whole.
    ``words``: when each is said, if that was asked for and is known.
    """

    path: Path
    fields: dict[str, str]
    made_at: Path | None = None
    words: tuple[Span, ...] = ()

    def field(self, name: str) -> str:
        """A field's value; BudgetError names the fields there are."""
        if name not in self.fields:
            raise BudgetError(
                f"{self.path} has no field {name!r}: expected one of {', '.join(self.fields)}; "
                "choose another --label or --pattern"
            )
        return self.fields[name]

    @property
    def lies_at(self) -> Path:
        """Where the audio can be read now."""
        return self.made_at or self.path

    @property
    def speaker(self) -> str:
        """The field of this name, empty where there is none."""
        return self.fields.get("speaker", "")


def read_recordings(
    folder: Path,
    pattern: str,
    table: Path | None = None,
    *,
    commands_only: bool = True,
    timed_words: bool = False,
) -> list[Recording]:
    """The rows of a table, by default ``folder/utterances.tsv``, else all files by ``pattern``.

    LibriSpeech's folder and audio SNIPS's are known by their transcripts, and read without either.
    `commands_only`: of a table with a column ``kind``, those of kind "command". `timed_words`: with
    those of ``folder/words.tsv``, where that is. Sorted by path. Raises BudgetError where there is
    no audio, or a row or a name does not fit.
    """
    recordings = _read(folder, pattern, table, commands_only=commands_only)
    if timed_words and (folder / WORDS).is_file():
        spans = read_spans(folder / WORDS, "word")
        recordings = [replace(row, words=tuple(spans.get(row.path.stem, ()))) for row in recordings]
    return sorted(recordings, key=lambda row: row.path)


def _read(
    folder: Path, pattern: str, table: Path | None, *, commands_only: bool
) -> list[Recording]:
    if table is None and (folder / TABLE).is_file():
        table = folder / TABLE
    if table is not None:
        recordings = _read_table(folder, table, commands_only=commands_only)
        return _with_phones(recordings, folder / PHONES)
    if (folder / SNIPS_TABLE).is_file():
        return _read_snips(folder)
    if any(folder.glob("*/*/*/*.trans.txt")):
        return _read_librispeech(folder)
    expression = _pattern_expression(pattern)
    paths = audio_files(folder)
    if not paths:
        raise BudgetError(f"{folder}: no audio files ({', '.join(AUDIO_SUFFIXES)}); check --audio")
    return [_parse_name(folder, path, pattern, expression) for path in paths]


def _read_table(folder: Path, table: Path, *, commands_only: bool) -> list[Recording]:
    """Tab-separated, or comma-separated where its first line has no tab; quoted as csv is."""
    cure = "expected tab- or comma-separated values below a header with a column `path`"
    with reading(table, cure):
        with table.open(encoding="utf-8-sig") as file:
            delimiter = "\t" if "\t" in file.readline() else ","
        header, *cells = read_table(table, delimiter=delimiter)
        rows = [dict(zip(header, row, strict=True)) for row in cells]
        if commands_only:
            rows = [row for row in rows if row.get("kind", "command") == "command"]
        if not rows:
            of_kind = " of kind 'command'" if commands_only else ""
            raise BudgetError(f"{table}: no row{of_kind}; make the corpus again")
        return [Recording((folder / row["path"]).resolve(), row) for row in rows]


def _with_phones(recordings: list[Recording], path: Path) -> list[Recording]:
    """The recordings with what they say, ``phones``, where the demo corpus's table of it is."""
    if not path.is_file():
        return recordings
    said = {
        name: " ".join(phone for _, _, phone in spans if phone not in SILENCES)
        for name, spans in read_spans(path).items()
    }
    return [
        replace(row, fields={"phones": said[row.path.stem], **row.fields})
        if row.path.stem in said
        else row
        for row in recordings
    ]


def _read_librispeech(folder: Path) -> list[Recording]:
    """Its ``part`` is a recording's folder, and its ``split`` what SUPERB takes that for."""
    texts = read_librispeech(folder)
    recordings = []
    for path in audio_files(folder):
        part = path.relative_to(folder).parts[0]
        split = next((name for name, its in LIBRISPEECH.items() if its == part), "none")
        if path.stem in texts:
            fields = {"split": split, "part": part, "speaker": path.stem.split("-")[0]}
            fields["transcript"] = texts[path.stem]
            recordings.append(Recording(path.resolve(), fields))
    return recordings


def _read_snips(folder: Path) -> list[Recording]:
    texts = snips_texts(folder)
    recordings = []
    for path in audio_files(folder):
        if path.stem in texts:
            words, slots = texts[path.stem]
            fields = {"split": path.relative_to(folder).parts[0], "transcript": words}
            fields |= {"speaker": path.stem.split("-")[0], "slots": slots}
            recordings.append(Recording(path.resolve(), fields))
    return recordings


def snips_texts(folder: Path) -> dict[str, tuple[str, str]]:
    """Words and slots of each recording of audio SNIPS, by its name.

    A line has a name, words, a tab and slots; both between what marks a sentence's ends.
    """
    with reading(folder / SNIPS_TABLE, "prepare the corpus again"):
        lines = (folder / SNIPS_TABLE).read_text(encoding="utf-8").splitlines()
        named = (line.partition(" ") for line in lines)
        texts = {name: text.split("\t") for name, _, text in named}
        return {name: (_inner(words), _inner(slots)) for name, (words, slots) in texts.items()}


def _inner(marked: str) -> str:
    return " ".join(marked.split()[1:-1])


def audio_files(folder: Path) -> list[Path]:
    """All audio files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)


def _pattern_expression(pattern: str) -> re.Pattern[str]:
    """``{label}_{take}`` as a regular expression: fields are shortest matches, in order."""
    try:
        parts = list(string.Formatter().parse(pattern))
        expression = "".join(
            re.escape(text) + (f"(?P<{name}>[^/]+?)" if name else "") for text, name, *_ in parts
        )
        return re.compile(expression)
    except (ValueError, re.error) as error:
        raise BudgetError(
            f"--pattern {pattern!r}: {error}; expected field names in braces, each once, such as "
            "'{label}_{speaker}_{take}' or '{label}/{speaker}_{take}'"
        ) from error


def _parse_name(folder: Path, path: Path, pattern: str, expression: re.Pattern[str]) -> Recording:
    relative = path.relative_to(folder).with_suffix("")
    name = relative.as_posix() if "/" in pattern else relative.name
    match = expression.fullmatch(name)
    if match is None:
        raise BudgetError(
            f"{path}: {name!r} does not fit --pattern {pattern!r}; give its own shape"
        )
    return Recording(path.resolve(), match.groupdict())


def select(recordings: Sequence[Recording], conditions: str) -> list[Recording]:
    """The recordings that meet ``conditions``: space-separated ``field=values``, all of them.

    Values are a comma-separated list of words and of ranges of numbers (``take=0-9,20``).
    """
    wanted = [_parse_condition(condition) for condition in conditions.split()]
    return [
        recording
        for recording in recordings
        if all(_matches(recording.field(name), values) for name, values in wanted)
    ]


def _parse_condition(condition: str) -> tuple[str, list[str]]:
    name, equals, values = condition.partition("=")
    if not (name and equals and values):
        raise BudgetError(
            f"filter {condition!r}: expected field=values, as in 'take=10-49 speaker=george,lucas'"
        )
    return name, values.split(",")


def _matches(value: str, wanted: list[str]) -> bool:
    for choice in wanted:
        bounds = _RANGE.fullmatch(choice)
        if bounds and value.isdecimal() and int(bounds[1]) <= int(value) <= int(bounds[2]):
            return True
        if value == choice:
            return True
    return False


def parse_share(text: str | None) -> float | None:
    """The share that ``20%`` means; None for any other filter.

    >>> parse_share("20%"), parse_share("take=3"), parse_share(None)
    (0.2, None, None)
    """
    match = _SHARE.fullmatch(text or "")
    if match is None:
        return None
    if not 0 < float(match[1]) < 100:
        raise BudgetError(f"{text}: expected a share between 0% and 100%")
    return float(match[1]) / 100


def hold_out(
    recordings: Sequence[Recording], share: float, seed: int
) -> tuple[list[Recording], list[Recording]]:
    """The recordings without a random ``share`` of them (at least one), and that share."""
    held = set(
        random.Random(seed).sample(range(len(recordings)), max(1, round(share * len(recordings))))
    )
    kept = [recording for index, recording in enumerate(recordings) if index not in held]
    return kept, [recordings[index] for index in sorted(held)]


def keep_shots(
    recordings: Sequence[Recording], *, label: str, shots: int, seed: int
) -> list[Recording]:
    """At most ``shots`` recordings of each label and speaker, drawn by ``seed``."""
    groups: dict[tuple[str, str], list[Recording]] = defaultdict(list)
    for recording in recordings:
        groups[recording.field(label), recording.speaker].append(recording)
    generator = random.Random(seed)
    kept = [generator.sample(group, min(shots, len(group))) for group in groups.values()]
    return sorted((recording for group in kept for recording in group), key=lambda r: r.path)
