"""Lhotse's cuts as utterances."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.prepare.imported import (
    TOLERANCE,
    Imported,
    _file_length,
    numbered_lines,
    part_of,
)
from fairseq_budget.structured import parse_json


def read_lhotse(path: Path, root: Path = Path()) -> Iterator[Imported]:
    """Each cut of ``cuts.jsonl`` or ``cuts.jsonl.gz``.

    Its transcript is that of its supervisions, its labels are ``custom["kmeans"]``. Relative files
    lie below `root`. Raises BudgetError, naming the line, for cuts that are mixed or altered, of
    another rate, of several channels, not in a plain file, or whose recordings have another length
    than their files.
    """
    for number, line in numbered_lines(path):
        try:
            yield _from_cut(parse_json(line, dict), root)
        except (
            *(ValueError, LookupError, TypeError, AttributeError, OverflowError),
            OSError,  # such as a name that is too long
        ) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise BudgetError(
                f"{path}, line {number}: {reason}; only MonoCuts of plain 16 kHz files can be "
                "imported: export the others with lhotse first"
            ) from error


def _from_cut(cut: dict[str, Any], root: Path) -> Imported:
    recording = cut["recording"]
    source = recording["sources"][0]
    rate = recording["sampling_rate"]
    if cut["type"] != "MonoCut" or recording.get("transforms"):
        raise ValueError(f"the cut {cut['id']} is a {cut['type']}, or its recording is transformed")
    if len(recording["sources"]) > 1 or source["type"] != "file" or source["channels"] != [0]:
        raise ValueError(f"the recording {recording['id']} is not one mono file")
    if rate != SAMPLE_RATE:
        raise ValueError(f"the recording {recording['id']} has {rate} Hz")
    start, end = round(cut["start"] * rate), round((cut["start"] + cut["duration"]) * rate)
    total = recording["num_samples"]
    is_clipped = total < end <= total + TOLERANCE
    end = total if is_clipped else end
    found = _file_length(root / source["source"])
    if found is not None and abs(found - total) > TOLERANCE:
        raise ValueError(f"{recording['id']} has {total} samples, but its file has {found}")
    texts = [said["text"] for said in cut.get("supervisions", []) if said.get("text") is not None]
    labels = (cut.get("custom") or {}).get("kmeans")
    return Imported(
        part_of(source["source"], start, end - start, total=total),
        _one_line(" ".join(texts)) if texts else None,
        None if labels is None else _one_line(labels),
        is_clipped,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
