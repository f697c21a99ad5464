"""Logs, measurements, recipes, scores, points and forecasts, layouts."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fairseq_budget.budget.machine import (
    find_machine,
    measured_rows,
    predict,
    read_measurements,
    store_measurements,
)
from fairseq_budget.budget.recipes import read_recipes
from fairseq_budget.budget.timing import Measurement
from fairseq_budget.budget.updates import plan_updates
from fairseq_budget.downstream.comparison import write_results
from fairseq_budget.downstream.layout import Layout, Request, make_layout, read_layout
from fairseq_budget.downstream.runs import RESULT_FILE, Result, Run, Upstream
from fairseq_budget.downstream.scores import Score, read_score
from fairseq_budget.downstream.superb_table import Cell
from fairseq_budget.downstream.tasks import TASKS
from fairseq_budget.errors import BudgetError
from fairseq_budget.forecast.law import Law
from fairseq_budget.forecast.planned import (
    Forecast,
    PlannedRow,
    Recommended,
    read_forecast,
    write_forecast,
)
from fairseq_budget.forecast.points import Point, read_points, write_points
from fairseq_budget.forecast.schedule import Stage, expected_at
from fairseq_budget.report.curve import read_run
from fairseq_budget.report.probe import ProbeRow, asked, read_probes
from fairseq_budget.report.scored import read_scored
from fairseq_budget.report.training_log import read_training_log
from fairseq_budget.run.record import Batch, Record, read_record, write_record
from fairseq_budget.upstream.options import read_options
from fairseq_budget.upstream.scalars import SCALARS_FILE
from fuzzing.codecs import JSON
from fuzzing.kinds.checkpoints import checkpoint
from fuzzing.kinds.made import SIZES, require, text_file, write_noise
from fuzzing.reader import Reader

_LOG = """{"task": {"valid": "epoch"}}
epoch 001:     10 / 44 loss=0.8798, wps=88, num_updates=10, lr=0.000166667, audio_hours=0.043
epoch 001 | valid on 'valid' subset | loss 0.7703 | wps 539.2 | num_updates 10 | best_loss 0.77
{"epoch": 1, "update": 0.4, "loss": "0.7", "num_updates": "20", "lr": "1e-05", "name": "x"}
{"epoch": 1, "valid_loss": "0.77", "valid_num_updates": "20", "valid_best_loss": 0.77}
"""


def _read_log(path: Path) -> Any:
    log = read_training_log(path)
    return [[sorted(record.items()) for record in records] for records in (log.train, log.valid)]


def _check_log(content: Any) -> None:
    for records in content:
        updates = [dict(record)["num_updates"] for record in records]
        require(all(0 <= u < 2**53 and u == int(u) for u in updates), updates)


def _measurements(folder: Path) -> Path:
    os.environ["XDG_CACHE_HOME"] = str(folder)
    found = Measurement("slim", "fp32", 84.0, 14.0, update_s=0.5, peak_bytes=10 * 2**30)
    return store_measurements("a machine", {"fp32": 1e12}, [found])


def _read_measurements(path: Path) -> Any:
    os.environ["XDG_CACHE_HOME"] = str(path.parents[1])
    plan = plan_updates("slim", flops=1e18, gpus=1, seconds_per_gpu=60, sequence_s=14, hours=None)
    machines = []
    for name in read_measurements():
        known = find_machine(name)
        assert known is not None
        machines.append((name, measured_rows(name, ["slim"]), predict(known[1], plan, 60)))
    return machines


def _check_measurements(content: Any) -> None:
    for _, rows, prediction in content:
        values = [value for row in (*rows, prediction) for value in asdict(row).values()]
        numbers = [value for value in values if isinstance(value, int | float)]
        require(all(0 <= value < math.inf for value in numbers), content)


_RECIPES = json.dumps(
    {"a": {"size": "slim:2", "sequence_s": 5.0}, "b": {"objective": "hubert", "gpus": 2}}
)


def _read_recipes(path: Path) -> Any:
    return {name: asdict(recipe) for name, recipe in read_recipes(path).items()}


def _layout(folder: Path) -> Path:
    for label in ("off", "on"):
        for speaker in ("ann", "bob"):
            for take in range(3):
                write_noise(folder / "audio", f"{label}_{speaker}_{take}.wav", SIZES[0] + take)
    request = Request("ic", str(folder / "audio"), label="label", test="take=0", valid="take=1")
    make_layout(request, folder / "layout")
    return folder / "layout" / "layout.json"


def _read_layout(path: Path) -> Any:
    layout = read_layout(path.parent)
    return layout, layout.command(["-p", "x"])


def _check_layout(content: Any) -> None:
    layout = content[0]
    counts = layout.num_utterances
    splits = set() if layout.request.official else {"train", "valid", "test"}
    require(splits == counts.keys(), counts)
    require(all(0 <= count <= 2**32 for count in counts.values()), counts)
    require(all(isinstance(v, str) for pair in layout.classes.items() for v in pair), layout)


def _results(folder: Path) -> Path:
    checkpoint(folder).rename(folder / "checkpoint_last.pt")
    text_file("train.log", _LOG)(folder)
    layout = Layout(folder, Request("ic", "audio"), {"train": 2, "valid": 1, "test": 1}, {}, 0)
    own = Result(5, 0.5, 0.75, upstream="a", layer_weights=[0.25, 0.75], key={"command": "s3prl"})
    runs = [replace(own, seed=seed) for seed in (0, 1)]
    write_results(folder / "results.json", layout, runs)
    return folder / "results.json"


def _read_results(path: Path) -> Any:
    return read_run(path.parent).row()


def _check_results(row: Any) -> None:
    scores = [value for name, value in row.items() if name.endswith("(%)")]
    require(len(scores) == 1 and 0 <= scores[0] <= 100, scores)


def _superb(folder: Path) -> Path:
    made: Any = (50.0, None, 75.0, 1e-2, None, 1, 5, "cac2fa7bde5f", "s3prl", (0.25, 0.75), {})
    cells = [asdict(Cell(task, "a", "accuracy", *made)) for task in ("ic", "sid")]
    return text_file("superb.json", json.dumps(cells))(folder)


def _read_scored(path: Path) -> Any:
    return [asdict(score) for score in read_scored(path)]


def _check_scored(content: Any) -> None:
    shares = [share for score in content for share in score["layer_weights"] or ()]
    require(all(0 <= share <= 1 for share in shares), content)


def _probes(folder: Path) -> Path:
    answers: list[dict[str, Any]] = [{"phones": 0.5, "abx_within": 0.5}]
    answers += [{"phones": 0.75, "abx_within": 0.25, "layer": layer} for layer in (0, 1)]
    rows = [asdict(ProbeRow(checkpoint="a", **answer)) for answer in answers]
    return text_file("probe.json", json.dumps({"seed": 0, "rows": rows}))(folder)


def _check_probes(rows: Any) -> None:
    answers = [getattr(row, name) for row in rows for name in asked(rows[0])]
    require(len(rows) > 1 and all(0 <= answer <= 1 for answer in answers), rows)


_POINT = Point(
    name="a",
    objective="tera",
    parameters=1000,
    frames=1e6,
    unique_frames=1e5,
    flops=1e12,
    valid_loss=2.0,
    seed=1,
    conditions="task.mask_prob=0.8",
    validations=[[0.5, 2.5], [1.0, 2.0]],
    scores={"ic accuracy": 75.0},
)


def _points(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_points(folder / name, [_POINT, replace(_POINT, name="b", flops=2e12)])
        return folder / name

    return make


def _read_points(path: Path) -> Any:
    return [asdict(point) for point in read_points([path])]


def _check_points(points: Any) -> None:
    for point in points:
        numbers = [point[name] for name in ("parameters", "frames", "flops", "valid_loss")]
        numbers += [number for pair in point["validations"] for number in pair]
        require(all(0 < number < math.inf for number in numbers), point)
        require(all(map(math.isfinite, point["scores"].values())), point)


def _forecast(folder: Path) -> Path:
    row = PlannedRow(
        size="tiny", parameters=1000, frames=1e6, audio_hours=5.0, loss=2.0, low=1.9, high=2.1
    )
    stages = [Stage(0.5, 1.5, 1.4, 1.6), Stage(1.0, 1.0, 1.0, 1.0)]
    law = Law(1.7, 400.0, 0.34, 2000.0, 0.37)
    best = Recommended("tiny", 1.0, 1000, 1000)
    made = Forecast("tera", "", 1e15, law, 0.01, 9, 0, [row], best, stages)
    write_forecast(folder / "forecast.json", made)
    return folder / "forecast.json"


def _read_forecast(path: Path) -> Any:
    found = read_forecast(path)
    ends = [row.expected for row in found.rows if row.expected]
    return asdict(found), [expected_at(end, found.stages, 0.75) for end in ends]


def _check_forecast(content: Any) -> None:
    for expected in filter(None, content[1]):
        require(0 < expected.low <= expected.loss <= expected.high < math.inf, expected)


class _NoRunner:
    def run(self, *_: object) -> int:
        raise BudgetError("trained anew")


def _run_of(folder: Path) -> Run:
    layout = Layout(folder, Request("ic", "audio"), {"train": 2, "valid": 1, "test": 1}, {}, 0)
    return Run(layout, Upstream("a"), 0, folder)


def _result(folder: Path) -> Path:
    stored = Result(5, 0.5, 0.75, task="ic", upstream="a", wall_s=1.0, key=_run_of(folder).key())
    (folder / RESULT_FILE).write_text(json.dumps(asdict(stored), indent=1))
    return folder / RESULT_FILE


def _read_result(path: Path) -> Any:
    return _run_of(path.parent).result(_NoRunner())  # type: ignore[arg-type]


def _check_score(score: Score) -> None:
    require(0 <= score.valid <= 1 and 0 <= score.test <= 1, score)
    require(isinstance(score.update, int), score)


def _check_result(result: Result) -> None:
    _check_score(result)
    require(result.upstream == "a", result)


_SCALARS = "".join(
    f"fluent_commands/{split}-acc\t{update}\t{0.1 * update:.1f}\n"
    for update in (5, 9)
    for split in ("dev", "test")
)
_OPTIONS = "output_subsample: average\noutput_subsample_rate: 3\ncache_gib: 0.5\nsegments_name: x\n"


def _record(folder: Path) -> Path:
    batch = Batch(1, [0, 1], ["a.wav", "b.wav"])
    return write_record(folder, Record(7, "the loss is NaN", "train", [batch]))


READERS = (
    Reader("training log", text_file("train.log", _LOG), _read_log, _check_log),
    Reader("measurements.json", _measurements, _read_measurements, _check_measurements,
           codec=JSON),
    Reader("recipes", text_file("recipes.json", _RECIPES), _read_recipes, codec=JSON),
    Reader("results.json", _results, _read_results, _check_results, codec=JSON),
    Reader("results.json, in HTML", _results, _read_scored, _check_scored, codec=JSON),
    Reader("superb.json", _superb, _read_scored, _check_scored, codec=JSON),
    Reader("probe.json", _probes, read_probes, _check_probes, codec=JSON),
    Reader("points, table", _points("points.tsv"), _read_points, _check_points),
    Reader("points", _points("points.json"), _read_points, _check_points, codec=JSON),
    Reader("forecast.json", _forecast, _read_forecast, _check_forecast, codec=JSON),
    Reader("result.json", _result, _read_result, _check_result, codec=JSON),
    Reader("s3prl's scalars", text_file(SCALARS_FILE, _SCALARS),
           lambda p: read_score(p.parent, TASKS["ic"]), _check_score),
    Reader("record of an update", _record, lambda p: asdict(read_record(p)), codec=JSON),
    Reader("layout.json", _layout, _read_layout, _check_layout, codec=JSON),
    Reader("options", text_file("options.yaml", _OPTIONS), read_options),
)  # fmt: skip
