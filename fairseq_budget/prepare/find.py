"""Finding audio: files below a folder, and files inside zip and tar archives."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fairseq_budget.audio import archives
from fairseq_budget.errors import BudgetError

EXTENSIONS = ("wav", "flac", "ogg", "opus", "mp3")
READABLE = ("sph", "aif", "aiff", "aifc", "au", "snd", "caf", "w64", "rf64")
"""Read as they are, where ``--ext`` names them."""
CONVERTIBLE = ("m4a", "mp4", "aac", "wma", "amr", "webm", "mka", "ape", "wv", "shn")
"""Other programs read these."""


class Source(NamedTuple):
    """An audio file: its path as a manifest holds it, and the name that it is known by.

    Both are relative and equal, but in an archive: ``a.zip:64:9000`` is ``a.zip/b.wav`` by name.
    """

    path: str
    name: str


def find_audio(
    place: Path, extensions: Sequence[str] = EXTENSIONS, match: str | None = None
) -> tuple[Path, list[Source]]:
    """The audio files of a folder, links followed, or of an archive: root folder, files by name.

    `extensions` come without a dot and match in any case; with zip or tar among them the archives
    of a folder are searched, too, for files with the others, or with any of `EXTENSIONS`. `match`
    is a regular expression to be found in the name. Raises BudgetError if `match` is none, an
    archive cannot be read in place, or nothing is found.
    """
    wanted = [extension.lower().lstrip(".") for extension in extensions]
    if place.is_file() and _has_extension(place.name, archives.EXTENSIONS):
        root, found = place.parent, _members(place.parent, place.name, wanted)
    elif place.is_dir():
        root, found = place, _sources(place, wanted)
    else:
        raise BudgetError(
            f"{place} is no folder and no .zip or .tar; name one that holds the audio (unpack what "
            "is compressed)"
        )
    pattern = _compile(match or "")
    sources = [source for source in found if pattern.search(source.name)]
    if not sources:
        matching = f" and a path matching {match!r}" if match else ""
        cure = passed_over(place, wanted) or "name another folder or give --ext"
        raise BudgetError(
            f"no audio found in {place}: no file with extension .{', .'.join(wanted)}{matching}; "
            f"{cure}"
        )
    return root, sorted(sources, key=lambda source: source.name)


def passed_over(place: Path, extensions: Sequence[str]) -> str | None:
    """Other audio that a folder holds, how much of it, and how to take it; None if there is none.

    That is what `find_audio` does not look at with `extensions`.
    """
    if not place.is_dir():
        return None
    suffixes = Counter(os.path.splitext(path)[1].lower().lstrip(".") for path in _walk(place))
    known = {*EXTENSIONS, *READABLE, *CONVERTIBLE} - {name.lower() for name in extensions}
    others = {name: count for name, count in sorted(suffixes.items()) if name in known}
    if not others:
        return None
    cures = []
    if readable := [name for name in others if name not in CONVERTIBLE]:
        cures.append(f"--ext {','.join([*extensions, *readable])} takes them")
    if convertible := [name for name in others if name in CONVERTIBLE]:
        one = f"`ffmpeg -i a.{convertible[0]} a.flac`"
        cures.append(f"convert .{', .'.join(convertible)} first, with {one} for example")
    counts = ", ".join(f"{count} .{name}" for name, count in others.items())
    return f"passed over {counts}: {'; '.join(cures)}"


def _sources(folder: Path, extensions: Sequence[str]) -> Iterator[Source]:
    for path in _walk(folder):
        if not _has_extension(path, extensions):
            continue
        if _has_extension(path, archives.EXTENSIONS):
            yield from _members(folder, path, extensions)
        else:
            yield Source(path, path)


def _members(folder: Path, path: str, extensions: Sequence[str]) -> Iterator[Source]:
    audio = [extension for extension in extensions if extension not in archives.EXTENSIONS]
    for name, offset, length in archives.list_members(folder / path):
        if _has_extension(name, audio or EXTENSIONS):
            yield Source(f"{path}:{offset}:{length}", f"{path}/{name}")


def _has_extension(path: str, extensions: Iterable[str]) -> bool:
    return path.lower().endswith(tuple(f".{extension}" for extension in extensions))


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise BudgetError(f"{pattern!r} is no regular expression: {error}") from error


def _walk(folder: Path) -> Iterator[str]:
    """Relative paths of all files below `folder`; a link that leads into a circle ends there."""
    seen = set()
    for current, subfolders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(current) in seen:
            subfolders.clear()
            continue
        seen.add(os.path.realpath(current))
        for name in names:
            yield os.path.relpath(os.path.join(current, name), folder)
