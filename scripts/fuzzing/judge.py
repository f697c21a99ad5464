"""Reading changed files in a process of its own, under limits of time and memory, and judging it.

One process reads file after file. One that hangs is killed, one that dies is told of, and the next
begins behind the file that did it.
"""

from __future__ import annotations

import importlib
import math
import multiprocessing
import os
import random
import resource
import shutil
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fuzzing.changes import change

LIMIT_S = 20.0  # of one file; the slowest sound one takes a tenth of a second
LIMIT_BYTES = 1 << 30  # beyond what the process has when it begins
START_S = 120.0  # for a process to import everything, and for each of its sound files
FINE = ("refused", "same", "valid")
HUNG, DIED = "hung", "died"
TABLE = "fuzzing.readers"  # the module of READERS


@dataclass(frozen=True)
class Case:
    """The changed file `number` of a reader."""

    reader: str
    number: int


@dataclass(frozen=True)
class Verdict:
    """What came of a case: `kind` is one of `FINE`, or a finding that `detail` describes.

    refused: by the promised error. same, valid: read as before, or as something that may be.
    Findings are raised (another exception), memory, nonsense, unnoticed (guarded content that has
    changed), hung and died.
    """

    case: Case
    kind: str
    change: str = ""
    detail: str = ""
    path: Path | None = None

    @property
    def is_finding(self) -> bool:
        return self.kind not in FINE


def judge_all(
    cases: Iterable[Case],
    seed: int,
    work: Path,
    *,
    until: float = math.inf,
    limit_s: float = LIMIT_S,
    table: str = TABLE,
) -> Iterator[Verdict]:
    """The verdicts of cases in order, until the monotonic clock says `until`.

    A changed file lies at the verdict's path until the next one is asked for.
    """
    process = None
    try:
        for case in cases:
            if time.monotonic() > until:
                return
            process = process or _Process(seed, work, table)
            verdict = process.judge(case, limit_s)
            yield verdict
            if verdict.kind in (HUNG, DIED):
                process.end()
                process = None
    finally:
        if process is not None:
            process.end()


class _Process:
    """A process that reads changed files."""

    def __init__(self, seed: int, work: Path, table: str) -> None:
        context = multiprocessing.get_context("spawn")  # a fork copies locks in whatever state
        self._ours, theirs = context.Pipe()
        task = (theirs, seed, work, table)
        self._process = context.Process(target=_read_all, args=task, daemon=True)
        self._process.start()
        theirs.close()

    def judge(self, case: Case, limit_s: float) -> Verdict:
        self._ours.send(case)
        begun = self._receive(START_S)
        if isinstance(begun, str):
            raise RuntimeError(f"{case}: its process {begun} before the file was there")
        path, name = begun
        found = self._receive(limit_s)
        if isinstance(found, str):
            return Verdict(case, found, name, path=path)
        return Verdict(case, found[0], name, found[1], path)

    def end(self) -> None:
        self._ours.close()  # which ends it, unless it hangs
        self._process.join(1)
        self._process.kill()
        self._process.join()

    def _receive(self, limit_s: float) -> Any:
        try:
            return self._ours.recv() if self._ours.poll(limit_s) else HUNG
        except (EOFError, ConnectionResetError):
            return DIED


def _read_all(pipe: Connection, seed: int, work: Path, table: str) -> None:
    warnings.simplefilter("ignore")
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything imports torch
    readers = {reader.name: reader for reader in importlib.import_module(table).READERS}
    sound: dict[str, _Sound] = {}
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # no more is asked for
        while True:
            case = pipe.recv()
            if case.reader not in sound:
                place = work / case.reader.replace("/", " ")
                sound[case.reader] = _Sound(readers[case.reader], place)
                _limit_memory()
            sound[case.reader].judge(pipe, case, seed)


def _limit_memory() -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (size + LIMIT_BYTES, hard))


class _Sound:
    """The sound file of a reader, and what it is read as."""

    def __init__(self, reader: Any, folder: Path) -> None:
        self._reader = reader
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._path = reader.make(folder)
        self._bytes = self._path.read_bytes()
        self._content = reader.read(self._path)
        reader.check(self._content)
        if reader.read(self._path) != self._content:
            raise AssertionError(f"{reader.name}: the sound file is read in two ways")

    def judge(self, pipe: Connection, case: Case, seed: int) -> None:
        name, content = self._changed(random.Random(f"{seed} {case.reader} {case.number}"))
        self._path.write_bytes(content)
        pipe.send((self._path, name))
        pipe.send(self._read(name))

    def _changed(self, number: random.Random) -> tuple[str, bytes]:
        """The first change out of a row of them that changes anything."""
        shell, codec = self._reader.shell, self._reader.codec
        inner = shell.open(self._bytes) if shell else self._bytes
        while True:
            try:
                name, content = change(inner, number, codec)
            except (TypeError, ValueError, AttributeError, RuntimeError, OverflowError):
                continue  # no file of this kind can hold it
            if content != inner:
                return name, shell.close(content) if shell else content

    def _read(self, name: str) -> tuple[str, str]:
        try:
            found = self._reader.read(self._path)
            if found == self._content:
                return "same", ""
            self._reader.check(found)
        except self._reader.named as error:
            return "refused", str(error)[:300]
        except AssertionError as error:
            return "nonsense", f"{error}"
        except MemoryError as error:
            return "memory", _place(error)
        except Exception as error:
            return "raised", f"{error!r:.200} {_place(error)}"
        is_change = self._reader.is_guarded and name != "structure"
        return ("unnoticed" if is_change else "valid"), f"{found!r:.300}"


def _place(error: Exception) -> str:
    """Where in the package an exception came from, innermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [(f.filename.rpartition("fairseq_budget/")[2], f) for f in frames]
    places = [f"{name}:{f.lineno} {f.name}" for name, f in own if not name.startswith("/")]
    return " < ".join(reversed(places[-3:]))
