"""The files that s3prl's experts for KS, IC, ER and SID expect, made of labelled recordings.

Each writer makes them in a folder, from the splits train, valid and test, and returns the classes
by s3prl's name. Audio is never copied: the experts that take paths get absolute ones, the others
symbolic links.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_budget.downstream.recordings import Recording
from fairseq_budget.errors import BudgetError

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = "_unknown_", "_silence_"
SLOTS = ("action", "object", "location")
FIRST_SPEAKER, NUM_SPEAKERS = 10001, 1251  # VoxCeleb1's, fixed in s3prl
SPLIT_NUMBERS = {"train": 1, "valid": 2, "test": 3}

Splits = Mapping[str, Sequence[Recording]]


@dataclass(frozen=True)
class Options:
    """What a writer is told besides the recordings; see `layout.Request`.

    ``place``: what the folder that is being written will be called.
    """

    label: str
    place: Path
    lexicon: str | None = None
    pieces: int = 5000
    seed: int = 0


def write_intents(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """Fluent Speech Commands' csv files: three slots, or one and two constant ones.

    With the label "slots" the recordings' own action, object and location are used.
    """
    slots = SLOTS if options.label == "slots" else (options.label, None, None)
    names: dict[str, str] = {}
    for split, recordings in splits.items():
        rows = []
        for recording in recordings:
            values = [recording.field(slot) if slot else "none" for slot in slots]
            rows.append([recording.path.as_posix(), *map(_as_word, values)])
            ours = [value for slot, value in zip(slots, values, strict=True) if slot]
            names[" ".join(rows[-1][1:])] = " ".join(ours)
        write_csv(folder / "data" / f"{split}_data.csv", ["path", *SLOTS], rows)
    _require_known_slots(splits, slots)
    return names


def _as_word(value: str) -> str:
    """A value that pandas reads back as it is.

    Numbers would become integers, which s3prl's table of values confuses with its own indices,
    and words like NA would become missing values.
    """
    return value if re.fullmatch(r"[a-z][a-z_ ]+", value) and value != "nan" else f"is_{value}"


def _require_known_slots(splits: Splits, slots: Sequence[str | None]) -> None:
    for slot in filter(None, slots):
        known = {recording.field(slot) for recording in splits["train"]}
        for split in ("valid", "test"):
            for recording in splits[split]:
                if recording.field(slot) not in known:
                    raise BudgetError(
                        f"{slot}={recording.field(slot)} is in {split} but not in train, and "
                        "cannot be learned; widen --train or narrow the other filters"
                    )


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table with a header, in folders that are made where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_emotions(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """IEMOCAP's session json files; any label will do. train and valid are one to s3prl."""
    classes = label_values(splits, options.label)
    indices = {name: index for index, name in enumerate(classes)}
    for split, recordings in {
        "train": [*splits["train"], *splits["valid"]],
        "test": splits["test"],
    }.items():
        meta_data = [
            {
                "path": recording.path.as_posix(),
                "label": recording.field(options.label),
                "speaker": recording.speaker,
            }
            for recording in recordings
        ]
        path = folder / "meta_data" / "Session1" / f"{split}_meta_data.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"labels": indices, "meta_data": meta_data}, indent=1))
    return {name: name for name in classes}


def write_speakers(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """VoxCeleb1's folders, numbered, and its list of splits."""
    classes = label_values(splits, options.label)
    if len(classes) > NUM_SPEAKERS:
        raise BudgetError(f"{len(classes)} classes: voxceleb1 has {NUM_SPEAKERS}; use fewer")
    names = {name: f"id{FIRST_SPEAKER + index}" for index, name in enumerate(classes)}
    lines = []
    for split, recordings in splits.items():
        for number, recording in enumerate(recordings):
            name = names[recording.field(options.label)]
            place = f"{name}/{split}/{number:06d}{recording.path.suffix}"
            link(folder / "audio" / "wav" / place, recording.path)
            lines.append(f"{SPLIT_NUMBERS[split]} {place}\n")
    (folder / "splits.txt").write_text("".join(lines))
    return {known: name for name, known in names.items()}


def write_keywords(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """Speech Commands' folders, with names whose hash s3prl puts into the wanted split."""
    classes = label_values(splits, options.label)
    places = _keyword_places(classes)
    _write_commands(folder, splits, options.label, places)
    return {
        place: "/".join(name for name in classes if places[name] == place)
        for place in dict.fromkeys(places.values())
    }


def _write_commands(folder: Path, splits: Splits, label: str, places: Mapping[str, str]) -> None:
    for split, recordings in splits.items():
        for number, recording in enumerate(recordings):
            keyword = places[recording.field(label)]
            if split == "test":
                path = folder / "test" / keyword / f"{number:06d}.wav"
            else:
                path = folder / "train" / keyword / f"{_hashed_name(split, number)}_nohash_0.wav"
            link(path, recording.path)


def write_words(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """Speech Commands' folders, each label a class of its own, and a list of them."""
    classes = label_values(splits, options.label)
    for name in classes:
        if "/" in name or name.startswith("_"):
            raise BudgetError(
                f"{options.label}={name}: a word becomes the name of a folder, without '/', and "
                "not beginning with '_'; call it otherwise"
            )
    _write_commands(folder, splits, options.label, {name: name for name in classes})
    # s3prl asks for the last two whether or not there is audio of them
    write_lines(folder / "classes.txt", [*classes, UNKNOWN, SILENCE])
    return {name: name for name in classes}


def _keyword_places(classes: Sequence[str]) -> dict[str, str]:
    """The one of s3prl's twelve class names that each label goes by.

    Its own where it has one. Others take the free keywords in order, unless there are more than
    ten labels and some are keywords: then they are words to be rejected, ``_unknown_``.
    """
    places = {name: name for name in classes if name in (*KEYWORDS, UNKNOWN)}
    others = [name for name in classes if name not in places]
    free = [word for word in KEYWORDS if word not in places]
    if places and len(classes) > len(KEYWORDS):
        free = []
    words = [*free, *[UNKNOWN] * len(others)]
    return places | dict(zip(others, words, strict=False))


def _hashed_name(split: str, number: int) -> str:
    """A name that Speech Commands' rule assigns to train or valid."""
    for attempt in range(1000):
        name = f"{split}{number:06d}x{attempt}"
        if command_split(name) == split:
            return name
    raise AssertionError("1000 hashes in a row fell into the other split")


def command_split(name: str) -> str:
    """Where Speech Commands' rule puts a file: by SHA-1 of what comes before ``_nohash_``.

    Below 10 % is validation, up to 20 % its own test set, which s3prl drops, the rest training.

    >>> command_split("0a7c2a8d_nohash_0.wav")
    'train'
    """
    digest = hashlib.sha1(name.partition("_nohash_")[0].encode()).hexdigest()
    percent = int(digest, 16) % (1 << 27) * 100 / ((1 << 27) - 1)
    return "valid" if percent < 10 else "test" if percent < 20 else "train"


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """A text of lines, in folders that are made where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def label_values(splits: Splits, label: str) -> list[str]:
    """All values of a field, sorted."""
    return sorted({recording.field(label) for split in splits.values() for recording in split})


def link(path: Path, target: Path) -> None:
    """A symbolic link to `target`, in folders that are made where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
