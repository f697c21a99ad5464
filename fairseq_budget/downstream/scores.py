"""Test scores of several upstreams on one layout, over several seeds of the classifier.

Each run is s3prl's own runner in a process of its own. It evaluates validation and test together
as it trains; the score of a run is the test score at its best validation score, the first of
equals, which is where s3prl keeps ``dev-best.ckpt``. Which number that is, and whether more or less
of it is better, the task says (tasks.py).
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

import torch

from fairseq_budget.console.progress import Progress
from fairseq_budget.downstream.layout import Layout, shell_command
from fairseq_budget.downstream.s3prl_process import S3prlProcess
from fairseq_budget.downstream.tasks import Metric, Task
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, sha256_file
from fairseq_budget.pretrained import MODEL_FILE, UNTRAINED
from fairseq_budget.structured import read_json
from fairseq_budget.upstream.scalars import SCALARS_FILE, read_scalars

RESULT_FILE, OUTPUT_FILE, OPTIONS_FILE = "result.json", "output.txt", "upstream.json"


@dataclass(frozen=True)
class Upstream:
    """A row of the table: a checkpoint, its untrained twin, or log-mel (no checkpoint)."""

    name: str
    checkpoint: Path | None = None
    untrained: bool = False

    @classmethod
    def parse(cls, text: str) -> list[Upstream]:
        """``NAME=PATH`` or ``NAME=PATH:untrained``; commas between the PATHs of several seeds."""
        name, _, path = text.partition("=")
        if not re.fullmatch(r"[\w.+-]+", name) or not path:
            raise BudgetError(
                f"--upstream {text!r}: expected NAME=PATH or NAME=PATH{UNTRAINED}, NAME of "
                "letters, digits and . + - _"
            )
        checkpoints = [Path(word) for word in path.removesuffix(UNTRAINED).split(",")]
        for checkpoint in checkpoints:
            if not checkpoint.exists():
                raise BudgetError(f"--upstream {text!r}: there is no {checkpoint}; export it first")
        return [cls(name, checkpoint, path.endswith(UNTRAINED)) for checkpoint in checkpoints]

    def sha256(self) -> str | None:
        """Of the weights, so that a table tells which ones it is about."""
        return None if self.checkpoint is None else _weights_sha256(self.checkpoint)


@functools.cache
def _weights_sha256(checkpoint: Path) -> str:
    return sha256_file(checkpoint / MODEL_FILE if checkpoint.is_dir() else checkpoint)


@dataclass(frozen=True)
class Protocol:
    """How a run differs from its task's configuration.

    ``layers``: "weighted", the sum that s3prl learns, or "last". ``trainable``: the upstream
    learns, too. ``cache_gib``: room for a frozen one's hidden states, in memory for each run or,
    for all runs, in ``cache_folder``; None is the upstream's default, and 0 none.
    """

    learning_rate: float | None = None
    layers: str = "weighted"
    trainable: bool = False
    cache_gib: float | None = None
    cache_folder: Path | None = None

    def arguments(self) -> list[str]:
        last = ["-s", "last_hidden_state"] if self.layers == "last" else []
        return [*last, *(["-f"] if self.trainable else [])]

    def overrides(self) -> list[str]:
        rate = self.learning_rate
        return [] if rate is None else [f"config.optimizer.lr={rate:g}"]

    def options(self) -> dict[str, Any]:
        """Of the upstream (``-g``)."""
        if self.cache_gib is None or self.trainable:
            return {}
        place = self.cache_folder and {"cache_folder": str(self.cache_folder.absolute())}
        return {"cache_gib": self.cache_gib, **(place or {})}


@dataclass(frozen=True)
class Score:
    """The best evaluation of one run: the update it was made at, and the task's first metric.

    All are shares, 1 the whole. ``others`` are the test's other metrics by their names.
    """

    update: int
    valid: float
    test: float
    others: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One training of a classifier; ``num_updates`` None means the configuration's."""

    layout: Layout
    upstream: Upstream
    seed: int
    folder: Path
    num_updates: int | None = None
    protocol: Protocol = field(default_factory=Protocol)
    keeps_checkpoints: bool = True

    def options(self) -> dict[str, Any]:
        """Of the upstream (``-g``). An untrained one has the fresh weights of the run's seed."""
        if self.upstream.checkpoint is None:
            return {}
        untrained = {"untrained": self.seed} if self.upstream.untrained else {}
        return {**untrained, **self.protocol.options()}

    def arguments(self) -> list[str]:
        """s3prl's arguments."""
        arguments = ["-p", str(self.folder), "--seed", str(self.seed), *self.protocol.arguments()]
        if self.upstream.checkpoint is None:
            arguments += ["-u", "budget_logmel"]
        else:
            arguments += ["-u", "budget_upstream", "-k", str(self.upstream.checkpoint)]
        if self.options():
            arguments += ["-g", str(self.folder / OPTIONS_FILE)]
        overrides = self.protocol.overrides()
        if self.num_updates is not None:
            overrides += update_overrides(self.num_updates, warm_up=not self.layout.request.superb)
        return self.layout.command(arguments, overrides)

    def key(self) -> dict[str, Any]:
        """Settings with which a stored result must agree to stand for this run."""
        return {
            "command": shell_command(self.arguments()),
            "checkpoint_sha256": self.upstream.sha256(),
            "untrained": self.upstream.untrained,
            "halves": "cache_folder" in self.options(),  # what is kept on disk is rounded
            "layout": asdict(self.layout.request) | self.layout.num_utterances,
        }

    def stored(self) -> dict[str, Any] | None:
        """The result of an earlier run with the same settings, if there is one."""
        try:
            stored = read_json(self.folder / RESULT_FILE, dict)
        except (OSError, ValueError):
            return None
        return dict(stored) if stored.get("key") == self.key() else None

    def result(self, s3prl: S3prlProcess) -> dict[str, Any]:
        """The stored result of this run, or that of running it now."""
        if (stored := self.stored()) is not None:
            return stored
        self.prepare()
        start = time.monotonic()
        score = self._train(s3prl)
        result = {
            "task": self.layout.request.task,
            "upstream": self.upstream.name,
            "seed": self.seed,
            "learning_rate": self.protocol.learning_rate,
            **asdict(score),
            "layer_weights": read_layer_weights(self.folder),
            "wall_s": round(time.monotonic() - start, 1),
            "key": self.key(),
        }
        _write_json(self.folder / RESULT_FILE, result)
        if not self.keeps_checkpoints:
            for checkpoint in self.folder.glob("*.ckpt"):
                checkpoint.unlink()
        return result

    def prepare(self) -> None:
        """Make the folder, with what s3prl reads in it and without what it appends to."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._goes_on():
            for appended in ("log.log", SCALARS_FILE):
                (self.folder / appended).unlink(missing_ok=True)
        if self.options():
            _write_json(self.folder / OPTIONS_FILE, self.options())

    def _goes_on(self) -> bool:
        """Whether s3prl takes up its checkpoint, and so other batches: in runs of days only."""
        return self.layout.request.superb and any(self.folder.glob("states-*.ckpt"))

    def _train(self, s3prl: S3prlProcess) -> Score:
        going_on = ["-a"] if self._goes_on() else []
        code = s3prl.run([*self.arguments(), *going_on], self.folder / OUTPUT_FILE)
        if code:
            raise BudgetError(
                f"{self.upstream.name}, seed {self.seed}: s3prl ended with exit code "
                f"{code}: {_last_line(self.folder / OUTPUT_FILE)!r}; "
                f"all it said is in {self.folder / OUTPUT_FILE}"
            )
        return read_score(self.folder, self.layout.task)


def update_overrides(num_updates: int, *, warm_up: bool = True) -> list[str]:
    """The ``-o`` fields for ``num_updates`` updates, evaluated two to five times where it goes.

    The last evaluation falls on the last update, whatever the number.
    """
    if num_updates < 1:
        raise BudgetError(f"--updates {num_updates}: expected 1 or more")
    times = next(times for times in (2, 3, 5, 1) if num_updates % times == 0)
    return [
        f"config.runner.total_steps={num_updates}",
        f"config.runner.eval_step={num_updates // times}",
        f"config.runner.save_step={num_updates}",
        *([f"config.scheduler.num_warmup_steps={num_updates // 10}"] if warm_up else []),
    ]


def read_score(folder: Path, task: Task) -> Score:
    """The best evaluation of s3prl's run in a folder; BudgetError where there is none."""
    scalars = read_scalars(folder)
    valid, test = (
        [_values(scalars, metric, split) for metric in task.metrics] for split in task.evaluated
    )
    both = sorted(valid[0].keys() & test[0].keys())
    if not both:
        raise BudgetError(
            f"{folder / SCALARS_FILE} has no evaluation of {' and '.join(task.evaluated)}; train "
            "for more updates"
        )
    sign = 1 if task.metrics[0].higher_is_better else -1
    best = max(both, key=lambda update: sign * valid[0][update])  # the first of equals
    others = {
        metric.name: values[best] for metric, values in zip(task.metrics[1:], test[1:], strict=True)
    }
    return Score(best, valid[0][best], test[0][best], others)


def read_layer_weights(folder: Path) -> list[float] | None:
    """The share of each layer in the sum that s3prl learned, at its best update; None of one layer.

    The first is the encoder's input.
    """
    kept = [*folder.glob("*best*.ckpt"), *folder.glob("states-*.ckpt")]
    if not kept:
        return None
    with torch.serialization.safe_globals([argparse.Namespace]):
        state = torch.load(kept[0], map_location="cpu", weights_only=True)
    weights = state.get("Featurizer", {}).get("weights")
    return None if weights is None else [round(w, 4) for w in weights.softmax(0).tolist()]


def _values(scalars: dict[str, dict[int, float]], metric: Metric, split: str) -> dict[int, float]:
    scale = 0.01 if metric.percent else 1
    found = scalars.get(metric.tag.format(split), {})
    return {update: scale * value for update, value in found.items()}


def run_all(
    runs: Sequence[Run], num_jobs: int, failures: list[BudgetError] | None = None
) -> list[dict[str, Any]]:
    """The results of all runs, in their order, ``num_jobs`` processes at a time.

    A run that fails ends all, or, where `failures` are gathered, only itself. Several GPUs are
    taken in turn, one by each process.
    """
    num_threads, num_gpus = max(1, (os.cpu_count() or 1) // num_jobs), torch.cuda.device_count()
    with ExitStack() as opened, ThreadPoolExecutor(num_jobs) as pool:
        idle: Queue[S3prlProcess] = Queue()
        for job in range(num_jobs):
            gpu = job % num_gpus if num_gpus > 1 else None
            idle.put(opened.enter_context(S3prlProcess(num_threads, gpu)))

        def result(run: Run) -> dict[str, Any] | None:
            s3prl = idle.get()
            try:
                return run.result(s3prl)
            except BudgetError as error:
                if failures is None:
                    raise
                failures.append(error)
                return None
            finally:
                idle.put(s3prl)

        results = Progress(pool.map(result, runs), total=len(runs), unit="run", quiet_s=0)
        return [found for found in results if found is not None]


def summarize(results: Sequence[dict[str, Any]], task: Task) -> list[dict[str, str]]:
    """One row per upstream: mean and sample standard deviation of the test scores, in percent."""
    rows = []
    first, *others = task.metrics
    for name in dict.fromkeys(result["upstream"] for result in results):
        own = [result for result in results if result["upstream"] == name]
        tests = [result["test"] for result in own]
        row = {
            "upstream": name,
            f"test {first.title}": _mean(tests),
            "each seed": ", ".join(f"{100 * score:.1f}" for score in tests),
            "valid (%)": f"{100 * statistics.mean(result['valid'] for result in own):.1f}",
        }
        for metric in others:
            row[metric.title] = _mean([result["others"][metric.name] for result in own])
        rows.append(row)
    return rows


def _mean(shares: Sequence[float]) -> str:
    """Mean, and sample standard deviation where there are several, in percent."""
    values = [100 * share for share in shares]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def write_results(path: Path, layout: Layout, results: Sequence[dict[str, Any]]) -> None:
    """All results, each with its command, and the table made of them."""
    metric = layout.task.metrics[0]
    _write_json(
        path,
        {
            "task": layout.request.task,
            "metric": metric.name,
            "higher_is_better": metric.higher_is_better,
            "column": f"test {metric.title}",
            "num_utterances": layout.num_utterances,
            "num_classes": len(layout.classes),
            "table": summarize(results, layout.task),
            "runs": list(results),
        },
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
