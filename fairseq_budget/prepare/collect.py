"""From files of audio to a manifest: examine, and if need be resample, every one.

Order and outcome do not depend on the number of worker processes. Workers finish the few files they
have begun when the work is interrupted, so that no half-written copy is left behind.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from fairseq_budget.audio.archives import file_of
from fairseq_budget.audio.check import checked_blocks, find_damage, is_out_of_range
from fairseq_budget.audio.io import (
    AudioError,
    AudioInfo,
    audio_info,
    find_mismatch,
    write_wav,
)
from fairseq_budget.audio.resample import blocks_at_model_rate
from fairseq_budget.console.progress import Progress
from fairseq_budget.corpus.manifest import Piece, Utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.prepare.find import Source
from fairseq_budget.prepare.processes import CHUNK, mapper

_UNWANTED = ("too short", "too long")


@dataclass(frozen=True)
class Rules:
    """Rules for keeping files: durations in seconds, how closely to check, where copies go.

    With `copies` every kept file is written there as a 16 kHz mono wav, whatever it was before;
    a copy that is newer than its source is kept as it is. Files whose samples are out of range are
    divided by `divide_by` there.
    """

    min_seconds: float = 0.0
    max_seconds: float = float("inf")
    full: bool = False
    copies: Path | None = None
    divide_by: float = 1.0


@dataclass(frozen=True)
class Finding:
    """One examined file: `num_samples` if it is kept, else `reason`, which reads ``kind: detail``.

    `path` is relative, to the folder that was searched or, if the file was copied, the copies';
    `name` is that of the `Source`.
    """

    path: str
    name: str
    num_samples: int = 0
    reason: str | None = None

    @property
    def kind(self) -> str | None:
        return self.reason and self.reason.partition(":")[0]

    @property
    def is_bad(self) -> bool:
        """Whether the file is broken or unsuitable, rather than of an unwanted duration."""
        return self.reason is not None and self.kind not in _UNWANTED

    @property
    def utterance(self) -> Utterance:
        return Utterance((Piece(self.path),), self.num_samples)


def collect(
    files: Mapping[str, tuple[Path, Sequence[Source]]], rules: Rules, *, num_workers: int
) -> dict[str, list[Finding]]:
    """Examine each split's files, given as a folder and sources below it; one finding for each.

    Raises BudgetError if two files would become one copy.
    """
    if rules.copies is not None:
        _require_distinct_copies(files.values(), rules.copies)
    return {
        split: _examine_all(folder, sources, rules, num_workers=num_workers, name=split)
        for split, (folder, sources) in files.items()
    }


def choose_share(paths: Sequence[str], percent: float, seed: int) -> set[str]:
    """A random share of `paths`, in percent, as a function of the seed: at least one, never all.

    Each path is drawn by its own hash, so that files which come or go later change little.
    """
    count = min(max(1, round(len(paths) * percent / 100)), len(paths) - 1)
    return set(sorted(paths, key=lambda path: sha256(f"{seed}:{path}".encode()).digest())[:count])


def examine(source: Source, folder: Path, rules: Rules) -> Finding:
    """Examine one file below `folder` and, where the rules ask for it, write its 16 kHz copy."""
    if reason := _unwritable_name(source.name):
        return Finding(ascii(source.path), ascii(source.name), reason=reason)
    try:
        info = audio_info(folder / source.path)
        if rules.copies is not None:
            return _examine_and_copy(source, folder, rules.copies / _copy_name(source), rules, info)
        find_damage(folder / source.path, info, full=rules.full)
        reason = find_mismatch(info) or _unwanted_duration(info, rules)
    except AudioError as error:
        reason = error.reason
    except (BudgetError, OSError):
        raise  # of writing the copy
    except Exception as error:  # one file never ends the others
        reason = f"unreadable: {type(error).__name__}: {error}"
    return Finding(*source, reason=reason) if reason else Finding(*source, info.num_samples)


def _examine_all(
    folder: Path, sources: Sequence[Source], rules: Rules, *, num_workers: int, name: str
) -> list[Finding]:
    work = functools.partial(examine, folder=folder, rules=rules)
    num_workers = max(1, min(num_workers, len(sources) // CHUNK))
    with mapper(num_workers) as run:
        results = run(work, sources)
        return list(Progress(results, total=len(sources), desc=name, unit="file"))


def _examine_and_copy(
    source: Source, folder: Path, copy: Path, rules: Rules, info: AudioInfo
) -> Finding:
    """Write the copy of one file; as it is decoded anyway, it is also checked in full."""
    file = folder / source.path
    find_damage(file, info, full=False)
    if reason := _unwanted_duration(info, rules):
        return Finding(*source, reason=reason)
    changed_ns = (folder / file_of(source.path)).stat().st_mtime_ns
    if copy.is_file() and copy.stat().st_mtime_ns > changed_ns:
        return Finding(_copy_name(source), source.name, audio_info(copy).num_samples)
    scale = 1 / rules.divide_by if rules.divide_by != 1 and is_out_of_range(file) else 1.0
    heard = checked_blocks(file, info, scale)
    num_samples = write_wav(copy, blocks_at_model_rate(heard, info.sample_rate), SAMPLE_RATE)
    return Finding(_copy_name(source), source.name, num_samples)


def _unwanted_duration(info: AudioInfo, rules: Rules) -> str | None:
    if info.duration_s < rules.min_seconds:
        return f"too short: {info.duration_s:.2f} s, less than {rules.min_seconds:g} s"
    if info.duration_s > rules.max_seconds:
        return f"too long: {info.duration_s:.2f} s, more than {rules.max_seconds:g} s"
    return None


def _unwritable_name(name: str) -> str | None:
    """Why a manifest, one line of UTF-8 with tabs for each file, cannot hold this name."""
    if any(character in name for character in "\t\n\r"):
        return "unusable name: it holds a tab or a newline"
    if "|" in name:
        return "unusable name: it holds a |, which joins pieces in a manifest; rename the file"
    if ".." in PurePosixPath(name).parts:
        return "unusable name: it leads out of its archive"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "unusable name: it is not valid UTF-8"
    return None


def _copy_name(source: Source) -> str:
    return str(Path(source.name).with_suffix(".wav"))


def _require_distinct_copies(files: Iterable[tuple[Path, Sequence[Source]]], copies: Path) -> None:
    source_of: dict[str, tuple[Path, Path]] = {}
    for folder, sources in files:
        plain = any(source.path == source.name for source in sources)  # not all in archives
        if plain and copies.resolve().is_relative_to(folder.resolve()):
            raise BudgetError(
                f"the copies' folder {copies} lies within {folder}, where copies would be taken "
                "for sources; choose another folder for --resample-to"
            )
        for source in sources:
            own, copy = (folder / source.name, folder / source.path), _copy_name(source)
            other = source_of.setdefault(copy, own)
            if other != own:
                raise BudgetError(
                    f"{other[0]} and {own[0]} would both become {copies / copy}; choose one with "
                    "--ext or --match, or another --resample-to for each split; of an archive "
                    "that holds a name twice, unpack the recording that is meant"
                )
