"""What a run is made with: versions, command and data, to make it again.

A checkpoint holds it as ``sessions``, beside the state that training resumes: a run that goes on
with another version, command or data has one more session, and the same weights.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fairseq_budget import __version__
from fairseq_budget.structured import conform

GIT_SECONDS = 10  # after which a repository on a slow disk is as good as none
SHOWN = 12  # digits of a hash that people see
Session = dict[str, Any]


@functools.cache
def software() -> Session:
    """Versions of what computes, and the `commit` that this package is run from.

    `commit` is None where the package is installed from no checkout of it; `changed` says whether
    tracked files differ from the commit.
    """
    commit, changed = checkout(Path(__file__).parents[1])
    return {
        "fairseq_budget": __version__,
        "commit": commit,
        "changed": changed,
        "python": platform.python_version(),
        "torch": _version("torch"),
        "fairseq": _version("fairseq", "fairseq-fixed"),
        "numpy": _version("numpy"),
    }


def checkout(package: Path) -> tuple[str | None, bool]:
    """The commit whose tree holds `package`, and whether tracked files were changed since.

    (None, False) without git, and for a package that is merely installed below a repository.
    """
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, False
    commit = _git(package, "rev-parse", "HEAD")
    return commit, bool(_git(package, "status", "--porcelain", "--untracked-files=no"))


def _git(folder: Path, *words: str) -> str | None:
    """What git prints, which is to change nothing; None where it fails or is not there."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    own["GIT_OPTIONAL_LOCKS"] = "0"
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(
            command, env=own, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def _version(*names: str) -> str | None:
    """Of a package that is distributed by one of these names; None if it is not there."""
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return None


class History:
    """The sessions of the run of this process, its own the last; and the data that it opens."""

    def __init__(self) -> None:
        self._own: Session | None = None
        self._earlier: list[Session] = []
        self._from_update = 0
        self._data: dict[str, dict[str, str]] = {}

    def begin(self, checkpoint: Mapping[str, Any] | None = None) -> None:
        """A session that goes on from a checkpoint of ours; None: it begins a run."""
        self._own = {**software(), "command": _command()}
        self._earlier, self._from_update = [], 0
        if checkpoint is not None:
            self._earlier = list(checkpoint.get("sessions", ()))
            self._from_update = checkpoint["optimizer_history"][-1]["num_updates"]

    def add_data(self, split: str, manifest: str, columns: Mapping[str, str | None]) -> None:
        """Hashes of a split's manifest and of its columns, by name; None: one has no hash."""
        known = {name: sha256 for name, sha256 in columns.items() if sha256 is not None}
        self._data[split] = {"manifest": manifest, **known}

    def data(self, split: str) -> dict[str, str]:
        """The hashes of a split that was opened, by name; empty: it was not."""
        return dict(self._data.get(split, {}))

    def sessions(self) -> list[Session]:
        """All sessions (none, before one begins); one that is made with the same joins the last."""
        if self._own is None:
            return []
        own = {**self._own, "data": self._data}
        if self._earlier and _made_with(self._earlier[-1]) == own:
            return self._earlier
        return [*self._earlier, {**own, "from_update": self._from_update}]


history = History()


def read_sessions(found: Any) -> list[Session]:
    """The `sessions` of a checkpoint or an export; ValueError where they are something else."""
    sessions: list[Session] = conform(found, list[Session], "sessions")
    for session in sessions:
        conform(session.get("commit"), str | None, "sessions.commit")
        conform(session.get("data", {}), dict[str, dict[str, str]], "sessions.data")
    return sessions


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _made_with(session: Session) -> Session:
    return {key: value for key, value in session.items() if key != "from_update"}


def summary(provenance: Mapping[str, Any]) -> dict[str, str]:
    """What a checkpoint was made with, in words for people; empty if it does not say so."""
    sessions: Sequence[Session] = provenance.get("sessions") or ()
    if not sessions:
        return {}
    last = sessions[-1]
    several = f"; {len(sessions)} sessions, this is the last" if len(sessions) > 1 else ""
    data = last.get("data", {}).items()
    return {
        "made by": f"{_words(last)}, seed {provenance.get('seed')}{several}",
        "made from": "; ".join(f"{split}: {_hashes(found.items())}" for split, found in data),
        "command": str(last.get("command")),
    }


def _words(session: Session) -> str:
    commit = session.get("commit")
    at = f" at {commit[:SHOWN]}" + ", changed" * bool(session.get("changed")) if commit else ""
    others = ", ".join(f"{name} {session.get(name)}" for name in ("torch", "fairseq", "python"))
    return f"fairseq_budget {session.get('fairseq_budget')}{at}, {others}"


def _hashes(found: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {sha256[:SHOWN]}" for name, sha256 in found)
