"""The files that s3prl's experts for KS, IC, ER and SID expect, made of labelled recordings.

Audio is never copied: the experts that take paths get absolute ones, the others symbolic links.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_budget.downstream.recordings import Recording
from fairseq_budget.errors import BudgetError

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN = "_unknown_"
SLOTS = ("action", "object", "location")
FIRST_SPEAKER, NUM_SPEAKERS = 10001, 1251  # VoxCeleb1's, fixed in s3prl
SPLIT_NUMBERS = {"train": 1, "valid": 2, "test": 3}

Splits = Mapping[str, Sequence[Recording]]


@dataclass(frozen=True)
class Task:
    """One of s3prl's classification tasks.

    ``write(folder, splits, label)`` makes its files from the splits train, valid and test and
    returns the classes by s3prl's name; ``data`` are the fields of ``datarc`` that must point
    there. ``draws_valid``: s3prl takes the validation part from train itself.
    """

    downstream: str
    title: str
    label: str
    data: Mapping[str, str]
    write: Callable[[Path, Splits, str], dict[str, str]]
    draws_valid: bool = False

    def overrides(self, folder: Path) -> list[str]:
        """The ``-o`` fields that make s3prl read ``folder``."""
        root = folder.resolve()  # s3prl evaluates values as Python, which no absolute path is
        if "=" in str(root) or ",," in str(root):
            raise BudgetError(f"{root}: s3prl cannot take a path with '=' or ',,'; choose another")
        paths = {key: (root / below).as_posix() for key, below in self.data.items()}
        return [f"config.downstream_expert.datarc.{key}={path}" for key, path in paths.items()]


def write_intents(folder: Path, splits: Splits, label: str) -> dict[str, str]:
    """Fluent Speech Commands' csv files: three slots, or one and two constant ones.

    With ``label`` "slots" the recordings' own action, object and location are used.
    """
    slots = SLOTS if label == "slots" else (label, None, None)
    names: dict[str, str] = {}
    for split, recordings in splits.items():
        rows = []
        for recording in recordings:
            values = [recording.field(slot) if slot else "none" for slot in slots]
            rows.append([recording.path.as_posix(), *map(_as_word, values)])
            ours = [value for slot, value in zip(slots, values, strict=True) if slot]
            names[" ".join(rows[-1][1:])] = " ".join(ours)
        _write_csv(folder / "data" / f"{split}_data.csv", ["path", *SLOTS], rows)
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


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_emotions(folder: Path, splits: Splits, label: str) -> dict[str, str]:
    """IEMOCAP's session json files; any label will do. train and valid are one to s3prl."""
    classes = _classes(splits, label)
    indices = {name: index for index, name in enumerate(classes)}
    for split, recordings in {
        "train": [*splits["train"], *splits["valid"]],
        "test": splits["test"],
    }.items():
        meta_data = [
            {
                "path": recording.path.as_posix(),
                "label": recording.field(label),
                "speaker": recording.fields.get("speaker", ""),
            }
            for recording in recordings
        ]
        path = folder / "meta_data" / "Session1" / f"{split}_meta_data.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"labels": indices, "meta_data": meta_data}, indent=1))
    return {name: name for name in classes}


def write_speakers(folder: Path, splits: Splits, label: str) -> dict[str, str]:
    """VoxCeleb1's folders, numbered, and its list of splits."""
    classes = _classes(splits, label)
    if len(classes) > NUM_SPEAKERS:
        raise BudgetError(f"{len(classes)} classes: voxceleb1 has {NUM_SPEAKERS}; use fewer")
    names = {name: f"id{FIRST_SPEAKER + index}" for index, name in enumerate(classes)}
    lines = []
    for split, recordings in splits.items():
        for number, recording in enumerate(recordings):
            place = f"{names[recording.field(label)]}/{split}/{number:06d}{recording.path.suffix}"
            _link(folder / "audio" / "wav" / place, recording.path)
            lines.append(f"{SPLIT_NUMBERS[split]} {place}\n")
    (folder / "splits.txt").write_text("".join(lines))
    return {known: name for name, known in names.items()}


def write_keywords(folder: Path, splits: Splits, label: str) -> dict[str, str]:
    """Speech Commands' folders, with names whose hash s3prl puts into the wanted split."""
    classes = _classes(splits, label)
    places = _keyword_places(classes)
    for split, recordings in splits.items():
        for number, recording in enumerate(recordings):
            keyword = places[recording.field(label)]
            if split == "test":
                path = folder / "test" / keyword / f"{number:06d}.wav"
            else:
                path = folder / "train" / keyword / f"{_hashed_name(split, number)}_nohash_0.wav"
            _link(path, recording.path)
    return {
        place: "/".join(name for name in classes if places[name] == place)
        for place in dict.fromkeys(places.values())
    }


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
    """A name that Speech Commands' rule (SHA-1, in percent) assigns to train or valid.

    Below 10 % is validation, up to 20 % its own test set, which s3prl drops, the rest training.
    """
    for attempt in range(1000):
        name = f"{split}{number:06d}x{attempt}"
        # s3prl hashes all that comes before _nohash_
        percent = (
            int(hashlib.sha1(name.encode()).hexdigest(), 16) % (1 << 27) * 100 / ((1 << 27) - 1)
        )
        if (split == "valid" and percent < 10) or (split == "train" and percent >= 20):
            return name
    raise AssertionError("1000 hashes in a row fell into the other split")


def _classes(splits: Splits, label: str) -> list[str]:
    return sorted({recording.field(label) for split in splits.values() for recording in split})


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


TASKS = {
    "ks": Task(
        "speech_commands",
        "keyword spotting",
        "label",
        {"speech_commands_root": "train", "speech_commands_test_root": "test"},
        write_keywords,
    ),
    "ic": Task(
        "fluent_commands", "intent classification", "label", {"file_path": ""}, write_intents
    ),
    "er": Task(
        "emotion",
        "emotion recognition",
        "label",
        {"root": "", "meta_data": "meta_data"},
        write_emotions,
        draws_valid=True,
    ),
    "sid": Task(
        "voxceleb1",
        "speaker identification",
        "speaker",
        {"file_path": "", "meta_data": "splits.txt"},
        write_speakers,
    ),
}
