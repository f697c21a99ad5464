"""The files that s3prl's experts for ASV and SD expect, made of recordings of one speaker each."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairseq_budget.audio.io import audio_info, read_audio, write_audio
from fairseq_budget.console.progress import Progress
from fairseq_budget.downstream.recordings import Recording
from fairseq_budget.downstream.task_files import (
    FIRST_SPEAKER,
    Options,
    Splits,
    label_values,
    link,
    write_lines,
)
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE

VOXCELEB = "VoxCeleb1"
VERIFICATION = {"train": "dev", "valid": "valid", "test": "test"}
DIARIZATION = {"train": "train", "valid": "dev", "test": "test"}
SPEAKERS_OF_A_MIXTURE, TURNS = 2, 4
MAX_OVERLAP_S, MAX_PAUSE_S = 1.0, 0.5


def write_trials(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """VoxCeleb1's folders, and lists of trials of the valid and test recordings.

    VoxCeleb1 has no valid trials, as s3prl trains on all in ``dev``: here they have a folder of
    their own, which their list names from there.
    """
    speakers = label_values(splits, options.label)
    ids = {name: f"id{FIRST_SPEAKER + index}" for index, name in enumerate(speakers)}
    for split, recordings in splits.items():
        places: dict[str, list[str]] = defaultdict(list)
        for number, recording in enumerate(recordings):
            name = ids[recording.field(options.label)]
            place = f"{name}/{split}/{number:05d}{recording.path.suffix}"
            link(folder / VOXCELEB / VERIFICATION[split] / "wav" / place, recording.path)
            places[name].append(place)
        if split == "train":
            write_lines(folder / "speakers.txt", places)
        else:
            up = "../../valid/wav/" if split == "valid" else ""
            trials = draw_trials(places, random.Random(f"{options.seed} {split}"))
            lines = [f"{same} {up}{one} {up}{other}" for same, one, other in trials]
            if {line[0] for line in lines} != {"0", "1"}:
                raise BudgetError(
                    f"{split} has {len(recordings)} recordings of {len(places)} speakers: expected "
                    "two speakers, and two recordings of one; widen its filter"
                )
            write_lines(folder / f"{split}_trials.txt", lines)
    return {known: name for name, known in ids.items()}


def draw_trials(
    recordings: dict[str, list[str]], generator: random.Random
) -> Iterator[tuple[int, str, str]]:
    """For each recording 1 and another one of its speaker, and 0 and one of another speaker."""
    for speaker, own in recordings.items():
        strangers = [name for name in recordings if name != speaker]
        for one in own:
            if others := [other for other in own if other != one]:
                yield 1, one, generator.choice(others)
            if strangers:
                yield 0, one, generator.choice(recordings[generator.choice(strangers)])


def write_mixtures(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """Kaldi's folders of conversations: two speakers of a split, who take turns.

    A turn is a recording, and begins from up to `MAX_OVERLAP_S` before the end of the one before to
    `MAX_PAUSE_S` after it. There is one conversation for every two recordings.
    """
    names = label_values(splits, options.label)
    ids = {name: f"speaker{number:04d}" for number, name in enumerate(names, start=1)}
    for split, recordings in splits.items():
        own: dict[str, list[Recording]] = defaultdict(list)
        for recording in recordings:
            own[ids[recording.field(options.label)]].append(recording)
        if len(own) < SPEAKERS_OF_A_MIXTURE:
            raise BudgetError(
                f"{split} has one {options.label}: expected two at least; widen its filter"
            )
        generator = random.Random(f"{options.seed} {split}")
        mixtures = {
            f"{split}{number:05d}": _draw_turns(own, generator)
            for number in range(max(1, len(recordings) // 2))
        }
        place = Path(DIARIZATION[split])
        durations = {
            name: write_mixture(folder / place / "wav" / f"{name}.wav", turns)
            for name, turns in Progress(mixtures.items(), desc=f"mixing {split}")
        }
        _write_kaldi(folder / place, options.place / place, mixtures, durations)
    return {known: name for name, known in ids.items()}


@dataclass(frozen=True)
class Turn:
    """A recording, and how many samples after the beginning of a mixture it begins."""

    speaker: str
    path: Path
    start: int
    num_samples: int

    @property
    def end(self) -> int:
        return self.start + self.num_samples


def _draw_turns(own: dict[str, list[Recording]], generator: random.Random) -> list[Turn]:
    pair = generator.sample(sorted(own), SPEAKERS_OF_A_MIXTURE)
    turns: list[Turn] = []
    for number in range(TURNS):
        speaker = pair[number % len(pair)]
        path = generator.choice(own[speaker]).lies_at
        shift = round(generator.uniform(-MAX_OVERLAP_S, MAX_PAUSE_S) * SAMPLE_RATE)
        previous = turns[-1].start if turns else 0  # whom nobody overtakes, nor oneself
        last_own = max((turn.end for turn in turns if turn.speaker == speaker), default=0)
        start = max(previous, last_own, turns[-1].end + shift) if turns else 0
        turns.append(Turn(speaker, path, start, audio_info(path).num_samples))
    return turns


def write_mixture(path: Path, turns: Sequence[Turn]) -> float:
    """Write the sum of all turns, as loud as 16 bits allow at most; returns its seconds."""
    mixture = np.zeros(max(turn.end for turn in turns), dtype=np.float32)
    for turn in turns:
        mixture[turn.start : turn.end] += read_audio(turn.path)
    write_audio(path, mixture / max(1.0, float(np.abs(mixture).max())), SAMPLE_RATE)
    return len(mixture) / SAMPLE_RATE


def _write_kaldi(
    folder: Path, place: Path, mixtures: dict[str, list[Turn]], durations: dict[str, float]
) -> None:
    """The tables of a folder, which is written in `folder` and will be called `place`."""
    rows = sorted(
        (
            (f"{turn.speaker}-{name}-{number}", name, turn)
            for name, turns in mixtures.items()
            for number, turn in enumerate(turns)
        ),
        key=lambda row: row[0],
    )
    spoken: dict[str, list[str]] = defaultdict(list)
    for key, _, turn in rows:
        spoken[turn.speaker].append(key)
    tables = {
        "wav.scp": [f"{name} {place.resolve() / 'wav' / name}.wav" for name in mixtures],
        "reco2dur": [f"{name} {seconds:.6f}" for name, seconds in durations.items()],
        "segments": [f"{key} {name} {_seconds(turn)}" for key, name, turn in rows],
        "utt2spk": [f"{key} {turn.speaker}" for key, _, turn in rows],
        "spk2utt": [f"{speaker} {' '.join(keys)}" for speaker, keys in sorted(spoken.items())],
        "rttm": [
            f"SPEAKER {name} 1 {turn.start / SAMPLE_RATE:.6f} {turn.num_samples / SAMPLE_RATE:.6f} "
            f"<NA> <NA> {turn.speaker} <NA>"
            for _, name, turn in rows
        ],
    }
    for table, lines in tables.items():
        write_lines(folder / table, lines)


def _seconds(turn: Turn) -> str:
    return f"{turn.start / SAMPLE_RATE:.6f} {turn.end / SAMPLE_RATE:.6f}"
