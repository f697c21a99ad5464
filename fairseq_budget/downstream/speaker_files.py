"""The files that s3prl's experts for ASV and SD expect, made of recordings of one speaker each."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from fairseq_budget.downstream.task_files import (
    FIRST_SPEAKER,
    Options,
    Splits,
    label_values,
    link,
    write_lines,
)
from fairseq_budget.errors import BudgetError

VOXCELEB = "VoxCeleb1"
VERIFICATION = {"train": "dev", "valid": "valid", "test": "test"}


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
