"""What the tables of SUPERB's own corpora name, read before s3prl stumbles over it after hours.

Each reader returns the audio that a table or a folder names, by what it is called in messages.
Raises BudgetError for a table that s3prl could not work with: another shape, a split that is not
there, an answer in test that training does not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from fairseq_budget.downstream.recordings import LIBRISPEECH, SNIPS_TABLE, snips_texts
from fairseq_budget.downstream.speaker_files import DIARIZATION, SPEAKERS_OF_A_MIXTURE
from fairseq_budget.downstream.task_files import (
    KEYWORDS,
    SILENCE,
    SLOTS,
    SPLIT_NUMBERS,
    UNKNOWN,
    command_split,
)
from fairseq_budget.downstream.term_files import DOCUMENTS, ENGLISH, QUERIES
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.structured import read_json, read_table
from fairseq_budget.text.transcripts import read_librispeech
from fairseq_budget.upstream.term_detection import read_truth, truth_file

Audio = Mapping[str, list[Path]]
Reader = Callable[[Path], Audio]

COMMANDS, COMMANDS_TEST = "speech_commands_v0.01", "speech_commands_test_set_v0.01"
SPEAKERS, TRIALS = "iden_split.txt", "veri_test2.txt"
NUM_FOLDS = 5


def _reading(path: Path) -> AbstractContextManager[None]:
    return reading(path, "unpack or prepare the corpus again")


def _wrong(table: object, what: str) -> BudgetError:
    return BudgetError(f"{table}: {what}; unpack or prepare the corpus again")


def keywords(root: Path) -> Audio:
    """Speech Commands: the folder of each word is a class, and is split by hashes of names."""
    found = {
        f"{COMMANDS_TEST}/{word}": sorted((root / COMMANDS_TEST / word).glob("*.wav"))
        for word in (*KEYWORDS, UNKNOWN, SILENCE)
    }
    for word in (*KEYWORDS, "_background_noise_"):
        found[f"{COMMANDS}/{word}"] = sorted((root / COMMANDS / word).glob("*.wav"))
    found[COMMANDS] = sorted((root / COMMANDS).glob("[!_]*/*.wav"))
    parts = {command_split(path.name) for path in found[COMMANDS]}
    if missing := {"train", "valid"} - parts:
        raise _wrong(root / COMMANDS, f"no recording is of {' and '.join(sorted(missing))}")
    return found


def intents(root: Path) -> Audio:
    """Fluent Speech Commands: a table of each split, whose slots training must have."""
    found, known = {}, dict[str, set[str]]()
    for split in ("train", "valid", "test"):
        path = root / "data" / f"{split}_data.csv"
        with _reading(path):
            header, *cells = read_table(path, delimiter=",")
            rows = [dict(zip(header, row, strict=True)) for row in cells]
            found[f"data/{path.name}"] = [root / row["path"] for row in rows]
            values = {slot: {row[slot] for row in rows} for slot in SLOTS}
        known = known or values
        for slot in SLOTS:
            if strange := sorted(values[slot] - known[slot]):
                raise _wrong(path, f"{slot} {strange[0]!r} is not in train_data.csv")
    return found


def speakers(root: Path) -> Audio:
    """VoxCeleb1's identification: lines of a split's number and a path below dev or test."""
    path = root / SPEAKERS
    found: dict[str, list[Path]] = {number: [] for number in map(str, SPLIT_NUMBERS.values())}
    with _reading(path):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            split, *names = line.split()
            if split not in found or len(names) != 1:
                raise ValueError(f"line {number} is {line!r}, expected 1, 2 or 3 and a path")
            in_dev = root / "dev" / "wav" / names[0]
            found[split].append(in_dev if in_dev.exists() else root / "test" / "wav" / names[0])
    return {f"{SPEAKERS}, split {split}": paths for split, paths in found.items()}


def trials(root: Path) -> Audio:
    """VoxCeleb1's verification: lines of 1 or 0, and two paths below test."""
    path = root / TRIALS
    answers, named = set(), dict[Path, None]()
    with _reading(path):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            answer, *names = line.split()
            if answer not in ("0", "1") or len(names) != 2:
                raise ValueError(f"line {number} is {line!r}, expected 1 or 0 and two paths")
            answers.add(answer)
            named |= dict.fromkeys(root / "test" / "wav" / name for name in names)
    if answers and answers != {"0", "1"}:
        raise _wrong(path, f"all trials are {answers.pop()}, expected 1 and 0")
    return {TRIALS: list(named)}


def conversations(root: Path) -> Audio:
    """LibriMix: Kaldi's folder of each split."""
    return {f"{split}/wav.scp": _kaldi(root / split) for split in DIARIZATION.values()}


def _kaldi(folder: Path) -> list[Path]:
    audio = dict(_columns(folder / "wav.scp", 1))
    durations = dict(_columns(folder / "reco2dur", 1))
    speaker_of = dict(_columns(folder / "utt2spk", 1))
    heard: dict[str, set[str]] = {name: set() for name in audio}
    for name, rest in _columns(folder / "segments", 3):
        recording, start, end = rest.split()
        if recording not in heard or name not in speaker_of or not _is_span(start, end):
            raise _wrong(
                folder / "segments",
                f"{name} is {rest!r}, expected a recording of wav.scp, seconds, and utt2spk to "
                "have it",
            )
        heard[recording].add(speaker_of[name])
    for name, path in audio.items():
        if path.endswith("|"):  # which s3prl would have a shell run
            raise _wrong(folder / "wav.scp", f"{name} is a command, expected a file")
        if not _is_span("0", durations.get(name, "")):
            raise _wrong(folder / "reco2dur", f"no duration of {name}")
        if not 1 <= len(heard[name]) <= SPEAKERS_OF_A_MIXTURE:
            of = f"{len(heard[name])} speakers in {name}"
            raise _wrong(folder / "segments", f"{of}, expected 1 or {SPEAKERS_OF_A_MIXTURE}")
    return [Path(path) for path in audio.values()]


def _is_span(start: str, end: str) -> bool:
    try:
        return 0 <= float(start) < float(end) < math.inf
    except ValueError:
        return False


def _columns(path: Path, number: int) -> list[tuple[str, str]]:
    """A name and what stands behind it, which are `number` words."""
    with _reading(path):
        rows = [line.split(maxsplit=1) for line in path.read_text("utf-8").splitlines()]
        for row in rows:
            if len(row) != 2 or len(row[1].split()) != number:
                raise ValueError(f"{' '.join(row)!r}, expected a name and {number} more words")
        return [(name, rest) for name, rest in rows]


@dataclass(frozen=True)
class _Emotion:
    path: str
    label: str
    speaker: str


@dataclass(frozen=True)
class _Emotions:
    labels: dict[str, int]
    meta_data: list[_Emotion]


def emotions(root: Path) -> Audio:
    """IEMOCAP: of each session, what is tested, and what is trained on in its place."""
    found = {}
    for fold in range(1, NUM_FOLDS + 1):
        for part in ("train", "test"):
            path = root / "meta_data" / f"Session{fold}" / f"{part}_meta_data.json"
            with _reading(path):
                content = read_json(path, _Emotions)
                for row in content.meta_data:
                    if row.label not in content.labels:
                        raise ValueError(f"{row.label!r} of {row.path} is no label of it")
            name = path.relative_to(root).as_posix()
            found[name] = [root / row.path for row in content.meta_data]
    return found


def transcripts(root: Path) -> Audio:
    """LibriSpeech: a line of a chapter's transcripts for each of its recordings."""
    found = {}
    for part in LIBRISPEECH.values():
        texts = read_librispeech(root / part)
        audio = {path.stem: path for path in (root / part).glob("*/*/*.flac")}
        for name in texts.keys() ^ audio.keys() | {name for name in texts if not texts[name]}:
            lacking = "recording" if name not in audio else "transcript"
            raise _wrong(root / part, f"{name} has no {lacking}")
        found[part] = list(audio.values())
    return found


def slots(root: Path) -> Audio:
    """Audio SNIPS: one table of words and slots for the recordings of each split."""
    texts = snips_texts(root)
    if not (root / "slots.txt").read_text("utf-8").split():
        raise _wrong(root / "slots.txt", "it is empty")
    found = {split: sorted((root / split).glob("*.wav")) for split in ("train", "valid", "test")}
    for path in (path for paths in found.values() for path in paths):
        words, its = texts.get(path.stem, ("", ""))
        if not words or len(words.split()) != len(its.split()):
            raise _wrong(root / SNIPS_TABLE, f"no slot for each word of {path.stem}")
    return found


def terms(root: Path) -> Audio:
    """QUESST 2014: lists of documents and queries, of which s3prl takes those in English."""
    lists = {name: _english(root, name) for name in (DOCUMENTS, *QUERIES.values())}
    documents = {path.stem for path in lists[DOCUMENTS]}
    for part, name in QUERIES.items():
        truth = read_truth(truth_file(root, part))
        if not any(truth.get(path.stem, set()) & documents for path in lists[name]):
            raise _wrong(truth_file(root, part), f"no document holds any query of {name}")
    return {f"scoring/{name}": paths for name, paths in lists.items()}


def _english(root: Path, name: str) -> list[Path]:
    """Lines of a path, which begins with the corpus's own folder, and a language."""
    path = root / "scoring" / name
    with _reading(path):
        rows = [line.split() for line in path.read_text("utf-8").splitlines()]
        for row in rows:
            if len(row) != 2 or "/" not in row[0]:
                raise ValueError(f"{' '.join(row)!r}, expected a path below a folder, a language")
        return [root / file.partition("/")[2] for file, language in rows if language == ENGLISH]
