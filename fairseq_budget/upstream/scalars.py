"""What s3prl's runner logs for TensorBoard, kept as text beside it: tags, updates and values.

Some of its experts print their scores only, without the update; all of them log both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SCALARS_FILE = "scalars.tsv"


def write_scalar(folder: str | Path, tag: str, update: int | None, value: Any) -> None:
    """Append a value to the ``scalars.tsv`` of a folder."""
    with Path(folder, SCALARS_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{tag}\t{update}\t{float(value)}\n")


def write_scalars(writer: type) -> type:
    """A class as `writer`, tensorboardX's, that also appends each scalar to ``scalars.tsv``."""

    class TextWriter(writer):
        def add_scalar(
            self,
            tag: str,
            scalar_value: Any,
            global_step: int | None = None,
            *more: Any,
            **named: Any,
        ) -> None:
            write_scalar(self.logdir, tag, global_step, scalar_value)
            super().add_scalar(tag, scalar_value, global_step, *more, **named)

    return TextWriter


def read_scalars(folder: Path) -> dict[str, dict[int, float]]:
    """The values of each tag by update, the last of an update that was made again; {} if none."""
    path = folder / SCALARS_FILE
    scalars: dict[str, dict[int, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        tag, update, value = line.split("\t")
        scalars.setdefault(tag, {})[int(update)] = float(value)
    return scalars
