"""From a folder of labelled speech to a folder that one of s3prl's tasks can read.

A layout is that folder and its ``layout.json``: what was asked for, how many utterances each split
has, the classes, and the ``-o`` fields that point s3prl at it. A corpus of SUPERB that s3prl reads
where it is has ``layout.json`` alone.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from fairseq_budget.audio.io import audio_info, decode, find_mismatch, write_audio
from fairseq_budget.audio.resample import to_model_rate
from fairseq_budget.console.progress import Progress
from fairseq_budget.downstream.official import OFFICIAL
from fairseq_budget.downstream.recordings import (
    Recording,
    hold_out,
    keep_shots,
    parse_share,
    read_recordings,
    select,
)
from fairseq_budget.downstream.task_files import SLOTS, Options
from fairseq_budget.downstream.tasks import OFFICIAL_TASKS, TASKS, Task
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading, write_json
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.run.lock import hold
from fairseq_budget.structured import Range, read_json

DEFAULT_PATTERN = "{label}_{speaker}_{take}"
VALID_SHARE = 0.1
BATCH_SIZE = 16  # of the packaged configurations
LAYOUT_FILE = "layout.json"


@dataclass(frozen=True)
class Request:
    """The wanted layout; filters are those of `recordings.select`, None the default.

    ``table`` in place of ``utterances.tsv`` or ``pattern``; ``lexicon`` of phones (PR), ``pieces``
    of words (ASR-5k); ``superb``: SUPERB's own settings, for the corpora it was made of.
    ``official``: ``audio`` is such a corpus, which s3prl reads as it is.
    """

    task: str
    audio: str
    pattern: str = DEFAULT_PATTERN
    label: str | None = None
    train: str | None = None
    valid: str | None = None
    test: str | None = None
    shots: int | None = None
    seed: int = 0
    table: str | None = None
    lexicon: str | None = None
    pieces: int = Options.pieces
    superb: bool = False
    official: bool = False


@dataclass(frozen=True)
class Layout:
    """A finished layout; ``classes`` maps s3prl's names of the classes to ours.

    ``sources_sha256`` is of what it was made of. Of an official corpus neither these nor the
    utterances of each split are known; layouts that older versions made have no hash.
    """

    folder: Path
    request: Request
    num_utterances: dict[str, int]
    classes: dict[str, str]
    num_converted: int
    sources_sha256: str | None = None

    @property
    def task(self) -> Task:
        return (OFFICIAL_TASKS if self.request.official else TASKS)[self.request.task]

    @property
    def folds(self) -> Sequence[int | None]:
        """What a score is the mean of: folds from 1, or one training without any (None)."""
        return range(1, self.task.num_folds + 1) if self.task.num_folds > 1 else (None,)

    def require_sound(self) -> None:
        """Raise BudgetError for recordings that have changed, and for a broken official corpus.

        Recordings that are all gone are no change: a layout may have been moved without them.
        """
        root = Path(self.request.audio)
        if self.request.official:
            OFFICIAL[self.request.task].require_sound(root, self.request.task)
        elif (
            self.sources_sha256
            and root.is_dir()
            and self.sources_sha256 != _sources_sha256(_read(self.request), self.request)
        ):
            raise BudgetError(
                f"{self.folder}: the recordings in {root}, or what a table says of them, are not "
                "those that it was made of; lay them out anew with budget-downstream layout ... "
                "--overwrite, or put back what was there"
            )

    def overrides(self) -> list[str]:
        """The ``-o`` fields for this data."""
        folder = Path(self.request.audio) if self.request.official else self.folder
        fields = self.task.overrides(folder, superb=self.request.superb)
        keywords = self.task.downstream == "speech_commands"
        full = BATCH_SIZE * (1 + self.request.superb)
        if keywords and (size := self.num_utterances.get("train", full)) < full:
            # s3prl drops incomplete batches: with no complete one it would wait for ever
            fields.append(f"config.downstream_expert.datarc.batch_size={size}")
        return fields

    def command(
        self, arguments: Sequence[str], overrides: Sequence[str] = (), *, part: str = "test"
    ) -> list[str]:
        """s3prl's arguments that train on this data, or evaluate a part where nothing is learned.

        `part` is valid or test.
        """
        fields = ",,".join([*self.overrides(), *overrides])
        config = ["-c", self.task.config] if self.task.config else []
        mode = ["train"]
        if not self.task.learns:
            mode = ["evaluate", "-t", self.task.evaluated[part == "test"]]
        return ["-m", *mode, "-d", self.task.downstream, *config, *arguments, "-o", fields]


def make_layout(request: Request, folder: Path, *, overwrite: bool = False) -> Layout:
    """Write the layout that ``request`` asks for, or return it where it is already there.

    Audio that is not 16 kHz mono is converted into the folder; all other audio stays where it is.
    Raises BudgetError for an empty split, one recording in two splits, a folder in use, recordings
    that have changed since (unless `overwrite`), and an official corpus that is not complete or
    that s3prl cannot read as it is.
    """
    if (done := _finished(folder, request, overwrite=overwrite)) is not None:
        return done
    place = folder.absolute()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BudgetError(
            f"cannot make --out {folder}: {error.strerror}; choose a folder that you may write to"
        ) from error
    with hold(place.with_name(f".{place.name}.lock"), f"--out {folder}", "another --out"):
        write = _write_official if request.official else _write_layout
        done = _finished(folder, request, overwrite=overwrite)
        return done or write(request, folder, overwrite=overwrite)


def _write_layout(request: Request, folder: Path, *, overwrite: bool) -> Layout:
    recordings = _read(request)
    sources = _sources_sha256(recordings, request)
    label = request.label or _default_label(request.task, recordings[0])
    splits = split_recordings(recordings, replace(request, label=label))
    _require_free(folder, overwrite=overwrite)
    with _whole_folder(folder) as work:
        splits, num_converted = _convert(splits, work, folder)
        options = Options(label, folder, request.lexicon, request.pieces, request.seed)
        classes = TASKS[request.task].write(work, splits, options)
        counts = {name: len(split) for name, split in splits.items()}
        layout = Layout(folder, request, counts, classes, num_converted, sources)
        _store(layout, work)
    return layout


def _read(request: Request) -> list[Recording]:
    return read_recordings(
        Path(request.audio),
        request.pattern,
        Path(request.table) if request.table else None,
        commands_only=TASKS[request.task].commands_only,
        timed_words=TASKS[request.task].timed_words,
    )


def _sources_sha256(recordings: Sequence[Recording], request: Request) -> str:
    """Of the recordings' names and sizes, of all that is said of them, and of the lexicon."""
    digest = hashlib.sha256()
    with reading(f"the recordings in {request.audio}", "put back what was there"):
        for recording in recordings:
            own = [str(recording.path), recording.path.stat().st_size, recording.fields]
            own += [recording.words] if recording.words else []  # none in hashes of before
            digest.update(json.dumps(own, sort_keys=True).encode())
        if request.lexicon:
            digest.update(Path(request.lexicon).read_bytes())
    return digest.hexdigest()


def _write_official(request: Request, folder: Path, *, overwrite: bool) -> Layout:
    task, root = request.task, request.audio
    if task not in OFFICIAL_TASKS:
        raise BudgetError(
            f"--official {root}: of {task}, s3prl reads no corpus as it is, but of "
            f"{', '.join(OFFICIAL_TASKS)}; lay it out with --audio {root} --superb"
        )
    OFFICIAL[task].require_sound(Path(root), task)
    _require_free(folder, overwrite=overwrite)
    layout = Layout(folder, request, {}, {}, 0)
    with _whole_folder(folder) as work:
        _store(layout, work)
    return layout


def _store(layout: Layout, work: Path) -> None:
    counts = layout.num_utterances or None
    content = {**asdict(layout), "folder": None, "num_utterances": counts}
    write_json(work / LAYOUT_FILE, content, sort_keys=False)


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` to write into, which takes its place if the block succeeds."""
    work = folder.absolute().with_name(f".{folder.absolute().name}.unfinished")
    shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
    try:
        work.mkdir(parents=True)
        yield work
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def read_layout(folder: Path) -> Layout:
    """A layout written before; BudgetError where there is none, or an unfinished one."""
    try:
        stored = read_json(folder / LAYOUT_FILE, _Stored)
        official = stored.request.official
        if stored.request.task not in (OFFICIAL_TASKS if official else TASKS):
            raise ValueError(f"request.task is {stored.request.task!r}")
        if official != (stored.num_utterances is None):
            raise ValueError("num_utterances must be null where official is true, and only there")
    except (OSError, ValueError) as error:
        raise BudgetError(
            f"{folder} is no finished layout ({error}): expected a {LAYOUT_FILE} that "
            "budget-downstream layout wrote; run it again with --overwrite"
        ) from error
    counts = asdict(stored.num_utterances) if stored.num_utterances else {}
    fixed = (stored.classes, stored.num_converted, stored.sources_sha256)
    return Layout(folder, stored.request, counts, *fixed)


_Count = Annotated[int, Range(0, 1 << 32)]


@dataclass(frozen=True)
class _Counts:
    train: _Count
    valid: _Count
    test: _Count


@dataclass(frozen=True)
class _Stored:
    """The content of ``layout.json``, which may be moved with its folder."""

    folder: None
    request: Request
    num_utterances: _Counts | None
    classes: dict[str, str]
    num_converted: _Count
    sources_sha256: str | None = None


def split_recordings(
    recordings: Sequence[Recording], request: Request
) -> dict[str, list[Recording]]:
    """Apply the filters of ``request``; see `make_layout` for what raises."""
    named = {recording.fields.get("split") for recording in recordings}
    filters = {
        name: getattr(request, name) or (f"split={name}" if name in named else None)
        for name in ("train", "valid", "test")
    }
    if filters["test"] is None:
        raise BudgetError(
            "--test is missing: give a filter such as 'take=0-9', or a random share such as 20%"
        )
    if request.valid and TASKS[request.task].draws_valid:
        raise BudgetError(
            f"--valid {request.valid!r}: s3prl draws the validation part of {request.task} from "
            "train by itself; leave --valid out, or use --task ic"
        )
    if TASKS[request.task].draws_valid:
        filters["valid"] = None
    splits: dict[str, list[Recording]] = {}
    for name, how in sorted(filters.items(), key=lambda row: parse_share(row[1]) is not None):
        if how is not None:  # shares are of what no filter has taken
            splits[name] = _chosen(recordings, how, splits, request.seed)
    if "train" not in splits:
        splits["train"] = _in_none(recordings, splits)
    _check_splits(splits, filters)
    return _complete(splits, request)


def _chosen(
    recordings: Sequence[Recording], how: str, others: Mapping[str, Sequence[Recording]], seed: int
) -> list[Recording]:
    share = parse_share(how)
    if share is None:
        return select(recordings, how)
    free = _in_none(recordings, others)
    return hold_out(free, share, seed)[1] if free else []


def _in_none(
    recordings: Sequence[Recording], splits: Mapping[str, Sequence[Recording]]
) -> list[Recording]:
    taken = {recording.path for split in splits.values() for recording in split}
    return [recording for recording in recordings if recording.path not in taken]


def _complete(splits: dict[str, list[Recording]], request: Request) -> dict[str, list[Recording]]:
    train, valid = splits["train"], splits.get("valid", [])
    if not valid and not TASKS[request.task].draws_valid:
        train, valid = hold_out(train, VALID_SHARE, request.seed)
    if request.shots is not None:
        label = "action" if request.label == "slots" else request.label or ""
        train = keep_shots(train, label=label, shots=request.shots, seed=request.seed)
    return {"train": train, "valid": valid, "test": splits["test"]}


def _check_splits(splits: dict[str, list[Recording]], filters: dict[str, str | None]) -> None:
    seen: dict[Path, str] = {}
    for name, split in splits.items():
        if not split:
            raise BudgetError(f"--{name} {filters[name]!r} keeps no recording; widen the filter")
        for recording in split:
            other = seen.setdefault(recording.path, name)
            if other != name:
                raise BudgetError(f"{recording.path} is in {other} and in {name}; part the filters")


def _default_label(task: str, recording: Recording) -> str:
    if TASKS[task].label not in recording.fields and set(SLOTS) <= set(recording.fields):
        return "slots" if task == "ic" else "action"
    return TASKS[task].label


def _convert(
    splits: dict[str, list[Recording]], work: Path, folder: Path
) -> tuple[dict[str, list[Recording]], int]:
    """The same splits, with 16 kHz mono copies in place of recordings of another kind.

    They are written below ``work``, and called by their paths when that is ``folder``.
    """
    converted: dict[str, list[Recording]] = {}
    count = 0
    for name, split in splits.items():
        converted[name] = []
        for recording in Progress(split, desc=f"reading {name}"):
            if find_mismatch(audio_info(recording.path)) is not None:
                place = Path("converted", f"{count:06d}_{recording.path.stem}.wav")
                write_audio(work / place, to_model_rate(*decode(recording.path)), SAMPLE_RATE)
                path = folder.resolve() / place
                recording = replace(recording, path=path, made_at=work / place)
                count += 1
            converted[name].append(recording)
    return converted, count


def _finished(folder: Path, request: Request, *, overwrite: bool) -> Layout | None:
    try:
        layout = read_layout(folder)
    except BudgetError:
        return None
    if layout.request != request:
        return None
    try:
        layout.require_sound()
    except BudgetError:
        if overwrite:
            return None
        raise
    return layout


def _require_free(folder: Path, *, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise BudgetError(f"{folder} is a file; choose a folder for --out")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / LAYOUT_FILE).is_file():
        raise BudgetError(f"{folder} holds other files; choose an empty folder for --out")
    if not overwrite:
        raise BudgetError(f"{folder} holds another layout; add --overwrite to replace it")


def shell_command(arguments: Sequence[str]) -> str:
    """The line a user types to run s3prl with ``arguments``."""
    return shlex.join(["s3prl", "run_downstream.py", *arguments])
