"""The batches of an update in which a run went wrong, written down so that it can be replayed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import write_json
from fairseq_budget.structured import Range, read_json

FOLDER = "trouble"  # in a run's save_dir
_Count = Annotated[int, Range(0, 1 << 62)]


@dataclass(frozen=True)
class Batch:
    """Utterances by their places in the manifest (from 0), and their names to check them by."""

    epoch: _Count
    lines: list[_Count]
    utterances: list[str]


@dataclass(frozen=True)
class Record:
    """What was said about an update (from 1), and what one process heard in it.

    Crops, masks and noise are functions of (seed, epoch, utterance), so this makes the batches
    again.
    """

    update: _Count
    said: str
    split: str
    batches: list[Batch]


def write_record(save_dir: str | Path, record: Record, rank: int = 0) -> Path:
    """Write ``save_dir/trouble/update_N.json``; other processes than the first add their rank."""
    name = f"update_{record.update}{f'_rank{rank}' if rank else ''}.json"
    path = Path(save_dir, FOLDER, name)
    write_json(path, asdict(record), indent=1, sort_keys=False)
    return path


def read_record(path: Path) -> Record:
    """The record in a file. Raises BudgetError for anything else."""
    try:
        record: Record = read_json(path, Record)
        if any(len(batch.lines) != len(batch.utterances) for batch in record.batches):
            raise ValueError("it has other numbers of lines and of utterances")
    except (OSError, ValueError) as error:
        raise BudgetError(
            f"{path} is no record of an update ({error}): expected update_N.json of the folder "
            f"{FOLDER} in a run's checkpoint.save_dir"
        ) from error
    return record


def check_same(record: Record, name: Callable[[int], str], manifest: str | Path) -> None:
    """BudgetError where a line of a manifest has another `name` than it had."""
    for batch in record.batches:
        for line, was in zip(batch.lines, batch.utterances, strict=True):
            try:
                found = name(line)
            except IndexError:
                found = "missing"
            if found != was:
                raise BudgetError(
                    f"utterance {line} of {manifest} is {found}, but was {was} when the update was "
                    "recorded: replay it with --data FOLDER of the manifests of then"
                )
