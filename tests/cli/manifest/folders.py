"""``budget-manifest`` typed in tests, and what is found in folders afterwards."""

from __future__ import annotations

from pathlib import Path

from fairseq_budget.cli.manifest.command import main
from fairseq_budget.corpus.manifest import Manifest


def build(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def names(path: Path) -> list[str]:
    return [utterance.name for utterance in Manifest.read(path).utterances]


def files_below(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]
