"""A small synthetic speech corpus with transcripts, commands, phones and words in time.

Made from a seed, so that every stage, from pre-training to a downstream task, can be tried within
minutes and checked against known answers. Several speakers, voices of espeak-ng with a pitch and a
rate of their own, read two kinds of utterances:

- ``sentence``: five to ten words, each sentence read once;
- ``command``: an action, an object and a location, in the manner of Fluent Speech Commands; every
  speaker gives every command once.

No transcript of one split is in another: sentences are all different, and each command is worded
differently in train, valid and test. Whoever speaks in valid and test also speaks in train.
"""

from __future__ import annotations

import csv
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.audio.io import write_audio
from fairseq_budget.audio.resample import to_model_rate
from fairseq_budget.console.progress import Progress
from fairseq_budget.demo.espeak import SILENCE, Espeak, PhoneSpan, Speech, Voice
from fairseq_budget.demo.script import MAX_COMMANDS, MAX_SENTENCES, Line, write_script
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.structured import read_table

FORMAT_VERSION = 1
MAX_PAUSE_S = 0.05  # kept before the first and after the last phone
PEAK_DB = (-12.0, -3.0)  # of full scale
NOISE_DB = (-55.0, -45.0)  # of the speech; without it, digital silence would be a class of its own
VARIANTS = (  # espeak's more natural ones, women and men in turn, none with an echo
    *("f1", "m1", "Annie", "m3", "steph", "m4", "belinda", "m7", "Andrea", "m8", "aunty", "boris"),
    *("anika", "Gene", "grandma", "paul", "shelby", "travis", "steph2", "victor"),
)

_NOTE = "corpus.json"  # the arguments that a corpus was made with
_CELL_PARSERS: dict[Any, Callable[[str], Any]] = {"str": str, "int": int, "float": float}


@dataclass(frozen=True)
class DemoUtterance:
    """One row of ``utterances.tsv``; ``path`` is relative to the corpus.

    ``kind`` is sentence or command; ``action``, ``object`` and ``location`` of a sentence are
    empty.
    """

    id: str
    path: str
    split: str
    kind: str
    speaker: str
    transcript: str
    action: str
    object: str
    location: str
    num_samples: int

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ValueError(f"{self.id} has {self.num_samples} samples")


@dataclass(frozen=True)
class DemoPhone:
    """One row of ``phones.tsv``: a phone in IPA, or ``sil``. An utterance's rows tile it."""

    utterance_id: str
    start_s: float
    end_s: float
    phone: str

    def __post_init__(self) -> None:
        if not 0 <= self.start_s <= self.end_s < math.inf:
            raise ValueError(f"{self.phone!r} from {self.start_s} to {self.end_s} s")


@dataclass(frozen=True)
class DemoWord:
    """One row of ``words.tsv``: a word, or words that are run together, such as ``of the``."""

    utterance_id: str
    start_s: float
    end_s: float
    word: str


Row = TypeVar("Row", DemoUtterance, DemoPhone, DemoWord)


def make_demo_corpus(
    folder: str | Path,
    *,
    num_speakers: int = 8,
    num_sentences: int = 480,
    num_commands: int = 48,
    seed: int = 1,
    progress: bool = True,
) -> list[DemoUtterance]:
    """Write ``{split}/{speaker}/{id}.wav`` and their tables into ``folder``.

    The tables are ``utterances.tsv``, ``phones.tsv`` and ``words.tsv``. The wavs are 16-bit, 16 kHz
    and mono, with pauses of at most 50 ms at their ends, a little noise and various levels. Equal
    arguments give equal bytes. The folder appears only when it is complete, and a complete one that
    was made with the same arguments is used as it is. Returns the utterances.

    Raises BudgetError for a folder that holds anything else, for counts out of range, and when
    espeak-ng is missing.
    """
    folder = Path(folder)
    counts = {
        "num_speakers": num_speakers,
        "num_sentences": num_sentences,
        "num_commands": num_commands,
    }
    _check_counts(counts, seed)
    made_with = json.dumps({"format_version": FORMAT_VERSION, "seed": seed, **counts})
    if not _is_finished(folder, made_with):
        script = write_script(**counts, seed=seed)
        shown = Progress(script, unit="utterance", disable=not progress)
        try:
            _make(folder, shown, seed, made_with)
        except OSError as error:
            raise BudgetError(
                f"cannot write {folder}: {error}; choose a folder that you may write to"
            ) from error
    return read_utterances(folder)


def read_utterances(folder: str | Path) -> list[DemoUtterance]:
    """The rows of ``utterances.tsv``. BudgetError if ``folder`` is no demo corpus."""
    return _read_table(Path(folder, "utterances.tsv"), DemoUtterance)


def read_phones(folder: str | Path) -> list[DemoPhone]:
    """The rows of ``phones.tsv``, in the order of the utterances and of time; raises likewise."""
    return _read_table(Path(folder, "phones.tsv"), DemoPhone)


def read_words(folder: str | Path) -> list[DemoWord]:
    """The rows of ``words.tsv``, in the same order; raises likewise."""
    return _read_table(Path(folder, "words.tsv"), DemoWord)


def _check_counts(counts: dict[str, int], seed: int) -> None:
    limits = {
        "num_speakers": (1, 1000),
        "num_sentences": (0, MAX_SENTENCES),
        "num_commands": (0, MAX_COMMANDS),
    }
    for name, (lowest, highest) in limits.items():
        if not lowest <= counts[name] <= highest:
            raise BudgetError(f"{name}={counts[name]}: expected {lowest} to {highest}")
    if counts["num_sentences"] + counts["num_commands"] == 0:
        raise BudgetError("num_sentences=0 and num_commands=0: ask for at least one of either")
    if seed < 0:
        raise BudgetError(f"seed={seed}: expected 0 or a positive number")


def _is_finished(folder: Path, made_with: str) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    note = folder / _NOTE
    if not note.is_file():
        raise BudgetError(f"{folder} exists and is no demo corpus; choose another folder")
    if (found := note.read_text(errors="replace").strip()) != made_with:
        raise BudgetError(
            f"{folder} holds a corpus made with {found}, but {made_with} was asked for; "
            "delete it or choose another folder"
        )
    return True


def _make(folder: Path, script: Iterable[Line], seed: int, made_with: str) -> None:
    """Make the corpus beside ``folder`` and rename it; nothing is left behind after an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as workplace:
        corpus = Path(workplace, "corpus")
        _record_all(corpus, script, seed)
        (corpus / _NOTE).write_text(made_with + "\n")
        corpus.rename(folder)


def _record_all(corpus: Path, script: Iterable[Line], seed: int) -> None:
    utterances: list[DemoUtterance] = []
    phones: list[DemoPhone] = []
    words: list[DemoWord] = []
    with Espeak() as espeak:
        for number, line in enumerate(script):
            speech = espeak.speak(line.transcript, _voice(line.speaker, seed))
            start, stop = _bounds(speech)
            kept = speech.samples[start:stop, None].astype(np.float32) / np.float32(1 << 15)
            wave = to_model_rate(kept, speech.sample_rate)
            utterance = _describe(line, number, len(wave))
            rng = np.random.default_rng([seed, 2, number])
            write_audio(corpus / utterance.path, _degrade(wave, rng), SAMPLE_RATE)
            utterances.append(utterance)
            spans = _shift(speech.phones, start / speech.sample_rate, utterance)
            phones += [DemoPhone(utterance.id, s.start_s, s.end_s, s.phone) for s in spans]
            words += _words(spans, utterance)
    _write_table(corpus / "utterances.tsv", utterances)
    _write_table(corpus / "phones.tsv", phones)
    _write_table(corpus / "words.tsv", words)


def _voice(speaker: int, seed: int) -> Voice:
    rng = np.random.default_rng([seed, 1, speaker])
    rate, pitch, pitch_range = rng.integers((140, 35, 35), (181, 66, 66)).tolist()
    return Voice(f"en-us+{VARIANTS[speaker % len(VARIANTS)]}", rate, pitch, pitch_range)


def _describe(line: Line, number: int, num_samples: int) -> DemoUtterance:
    speaker = f"spk{line.speaker:03d}"
    name = f"{speaker}-{number:04d}"
    path = f"{line.split}/{speaker}/{name}.wav"
    return DemoUtterance(
        id=name,
        path=path,
        split=line.split,
        kind="command" if line.command else "sentence",
        speaker=speaker,
        transcript=line.transcript,
        action=line.command.action if line.command else "",
        object=line.command.object if line.command else "",
        location=line.command.location if line.command else "",
        num_samples=num_samples,
    )


def _bounds(speech: Speech) -> tuple[int, int]:
    """First and last sample to keep, so that no more than ``MAX_PAUSE_S`` surrounds the phones."""
    spoken = [span for span in speech.phones if span.phone != SILENCE]
    start_s = max(0.0, spoken[0].start_s - MAX_PAUSE_S)
    stop_s = spoken[-1].end_s + MAX_PAUSE_S
    return round(start_s * speech.sample_rate), round(stop_s * speech.sample_rate)


def _degrade(wave: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Bring speech to a random level and add white noise at a random level below it."""
    peak, noise = 10 ** (np.array([rng.uniform(*PEAK_DB), rng.uniform(*NOISE_DB)]) / 20)
    speech = wave * np.float32(peak / np.abs(wave).max())
    level = np.float32(noise * np.sqrt(np.mean(speech**2)))
    return speech + level * rng.standard_normal(len(speech), dtype=np.float32)


def _shift(
    phones: Sequence[PhoneSpan], start_s: float, utterance: DemoUtterance
) -> list[PhoneSpan]:
    """Times from the first kept sample, in whole samples at 16 kHz and within the utterance."""

    def moved(time_s: float) -> float:
        num_samples = round((time_s - start_s) * SAMPLE_RATE)
        return min(max(num_samples, 0), utterance.num_samples) / SAMPLE_RATE

    spans = [replace(p, start_s=moved(p.start_s), end_s=moved(p.end_s)) for p in phones]
    return [span for span in spans if span.start_s < span.end_s]


def _words(phones: Sequence[PhoneSpan], utterance: DemoUtterance) -> list[DemoWord]:
    """From the first phone of each word to its last."""
    spoken = [span for span in phones if span.phone != SILENCE]
    words = [list(own) for _, own in groupby(spoken, key=lambda span: span.word)]
    ends = [own[0].word for own in words[1:]] + [None]
    return [
        DemoWord(
            utterance.id, own[0].start_s, own[-1].end_s,
            utterance.transcript[own[0].word : end].strip(),
        )
        for own, end in zip(words, ends, strict=True)
    ]  # fmt: skip


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, dialect="excel-tab", lineterminator="\n")
        writer.writerow([field.name for field in fields(rows[0])])
        writer.writerows(astuple(row) for row in rows)


def _read_table(path: Path, row_type: type[Row]) -> list[Row]:
    if not path.is_file():
        raise BudgetError(f"{path} is missing; make the corpus with budget-corpus {path.parent}")
    with reading(path, "make the corpus again"):
        header, *rows = read_table(path)
        if header != (expected := [field.name for field in fields(row_type)]):
            raise ValueError(f"its columns are {header}, expected {expected}")
        parsers = [_CELL_PARSERS[field.type] for field in fields(row_type)]
        return [
            row_type(*(parse(cell) for parse, cell in zip(parsers, row, strict=True)))
            for row in rows
        ]
