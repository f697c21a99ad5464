"""Finished runs as points of a law: how large, how much heard, with what loss.

A run is a folder as scripts/sweep.sh makes it. Points are also a table (``.tsv``), in which what a
paper printed can be written by hand, and JSON, which holds losses on the way, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, reading
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.report.alike import CORPORA_APART, near
from fairseq_budget.report.probe import HEADERS, asked, best_row, read_probes
from fairseq_budget.report.trained import Trained, read_trained
from fairseq_budget.run.provenance import SHOWN
from fairseq_budget.structured import Range, conform, read_json, read_table

Count = Annotated[int, Range(1, 10**15)]
Amount = Annotated[float, Range(1e-9, 1e40)]
Score = Annotated[float, Range(-1e4, 1e4)]  # in per cent


@dataclass(frozen=True, kw_only=True)
class Point:
    """A finished run, or one that a paper printed.

    `parameters` are those of the encoder, without the head, so that runs that learn different
    numbers of labels compare. `frames` of 50 Hz were heard, of which `unique_frames` are in the
    corpus, if that is known. `valid_loss` is the objective's, without penalties, after the last
    update; `unexplained` is that over the loss of guessing, if it is known. `conditions` are what
    this loss depends on besides: settings, and hashes of the validation data and its labels, as
    ``name=value`` with blanks between; `corpus` is the hash of the training manifest. `validations`
    are pairs of a share of the schedule and the loss there; `scores` those of downstream tasks in
    per cent.
    """

    name: str
    objective: str
    size: str | None = None
    parameters: Count
    frames: Amount
    unique_frames: Amount | None = None
    flops: Amount
    valid_loss: Amount
    unexplained: Amount | None = None
    seed: int | None = None
    layers: int | None = None
    conditions: str = ""
    corpus: str | None = None
    validations: list[list[Amount]] = field(default_factory=list)
    scores: dict[str, Score] = field(default_factory=dict)


def read_points(paths: Sequence[Path]) -> list[Point]:
    """Points of runs' folders and of files of points, in order.

    Where one does not tell the length of its corpus, it has that of others on the same. Raises
    BudgetError for what cannot be read, and for a run that is not finished.
    """
    points: list[Point] = []
    folders = list(dict.fromkeys(path for path in paths if path.is_dir()))
    runs = dict(zip(folders, read_trained(folders), strict=True))
    for path in paths:
        points += [_of_run(runs[path], path)] if path in runs else _read_file(path)
    return _with_lengths(points)


def _with_lengths(points: Sequence[Point]) -> list[Point]:
    """A run that heard little of its corpus does not tell its length; others on it may."""
    known = {point.corpus: point.unique_frames for point in points if point.unique_frames}
    return [
        point
        if point.unique_frames or point.corpus is None
        else replace(point, unique_frames=known.get(point.corpus))
        for point in points
    ]


def _of_run(trained: Trained, folder: Path) -> Point:
    run, saved = trained.run, trained.provenance
    if run is None or not run.is_finished:
        made = f"{run.updates:,} of {run.max_update:,} updates" if run else "nothing saved"
        raise BudgetError(f"{folder} is not finished ({made}): go on, or leave it out")
    if not trained.validations:
        raise BudgetError(
            f"{folder} has no validation loss of TERA, HuBERT or wav2vec 2.0: a forecast is of "
            "these; let the run validate, or leave it out"
        )
    if trained.final_loss is None:
        raise BudgetError(
            f"{folder} was last validated after {trained.validations[-1][0]:.0%} of its updates: "
            "its final loss is not known; leave dataset.disable_validation at false, or leave the "
            "run out"
        )
    hours = trained.counted("audio_hours")
    if not run.flops or not hours:
        raise BudgetError(f"{folder} has counted no FLOPs or no audio: train it with this version")
    return _point(
        folder,
        {
            "name": trained.name,
            "objective": run.objective,
            "size": trained.size,
            "parameters": trained.encoder_parameters,
            "frames": _frames(hours),
            "unique_frames": trained.corpus_hours and _frames(trained.corpus_hours),
            "flops": run.flops,
            "valid_loss": trained.final_loss,
            "unexplained": trained.unexplained,
            "seed": saved.get("seed"),
            "layers": EncoderConfig.from_dict(trained.model).resolved().encoder_layers,
            "conditions": trained.conditions,
            "corpus": trained.hashes("train").get("manifest", "")[:SHOWN] or None,
            "validations": trained.validations,
            "scores": {**run.scores, **_probed(folder)},
        },
    )


def _frames(hours: float) -> int:
    return round(hours * 3600 * FRAME_RATE_HZ)


def _probed(folder: Path) -> dict[str, float]:
    """The best layer's answers of `budget-report probe --out` below a run, in per cent."""
    found = {}
    for path in sorted(folder.rglob("probe.json")):
        chance, *layers = read_probes(path)
        for name in asked(chance):
            found[HEADERS[name]] = 100 * getattr(best_row(layers, name), name)
    return found


def corpus_hours(points: Sequence[Point]) -> float | None:
    """Hours of the corpus that the runs have heard, or parts of it; None: not all of them tell.

    >>> corpus_hours([])
    """
    known = [point.unique_frames for point in points if point.unique_frames]
    if not known or len(known) < len(points):
        return None
    *_, whole = near(known, float, CORPORA_APART)
    return median(whole) / (3600 * FRAME_RATE_HZ)


# Files of points

_TEXTS = ("name", "objective", "size", "conditions", "corpus")
_NUMBERS = (
    *("parameters", "frames", "unique_frames", "flops", "valid_loss", "unexplained"),
    *("seed", "layers"),
)
_SCORE = "scores."  # before the names of scores


def _read_file(path: Path) -> list[Point]:
    cure = "expected a run's folder, or a .tsv or .json of points, as `--save` writes them"
    with reading(path, cure):
        rows = _read_rows(path) if path.suffix == ".tsv" else read_json(path, list[dict[str, Any]])
        if not rows:
            raise ValueError("it holds no point")
        return [_point(f"{path}, row {place}", row) for place, row in enumerate(rows, start=1)]


def _read_rows(path: Path) -> list[dict[str, Any]]:
    header, *rows = read_table(path, is_quoted=False)
    return [_row({n: text for n, text in zip(header, row, strict=True) if text}) for row in rows]


def _row(cells: Mapping[str, str]) -> dict[str, Any]:
    scores = {name: text for name, text in cells.items() if name.startswith(_SCORE)}
    row = {name: _value(name, text) for name, text in cells.items() if name not in scores}
    return row | {"scores": {n.removeprefix(_SCORE): float(text) for n, text in scores.items()}}


def _value(name: str, text: str) -> Any:
    if name not in _NUMBERS:
        return text
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _point(where: object, row: Mapping[str, Any]) -> Point:
    try:
        point: Point = conform(dict(row), Point, "the point")
        _check_validations(point.validations)
    except ValueError as error:
        raise BudgetError(
            f"{where}: {error}; expected the columns {', '.join((*_TEXTS, *_NUMBERS))}"
        ) from error
    return point


def _check_validations(validations: Sequence[Sequence[float]]) -> None:
    shares = [pair[0] for pair in validations if len(pair) == 2]
    if len(shares) < len(validations):
        raise ValueError("its validations are no pairs of share and loss")
    if shares != sorted(set(shares)):
        raise ValueError("its validations are not in the order of their shares")


def write_points(path: Path, points: Sequence[Point]) -> None:
    """Write a table (``.tsv``), without losses on the way, or JSON with all."""
    with atomic_write(path) as file:
        if path.suffix == ".tsv":
            file.write(points_table(points))
        else:
            json.dump([asdict(point) for point in points], file, indent=1)
            file.write("\n")


def points_table(points: Sequence[Point]) -> str:
    """The text of a table: a line for each point, and the columns in which some have a value.

    Those of scores begin with ``scores.``.
    """
    kept = [each.name for each in fields(Point) if each.name in (*_TEXTS, *_NUMBERS)]
    names = [name for name in kept if any(_cell(getattr(point, name)) for point in points)]
    scores = list(dict.fromkeys(name for point in points for name in point.scores))
    lines = [[*names, *(_SCORE + name for name in scores)]]
    for point in points:
        values = [getattr(point, name) for name in names]
        values += [point.scores.get(name) for name in scores]
        lines.append(list(map(_cell, values)))
    return "".join("\t".join(line) + "\n" for line in lines)


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())
