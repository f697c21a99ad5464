"""Runs of s3prl on a layout: an upstream, a seed, a learning rate; each kept once it has ended.

Each is s3prl's own runner in a process of its own (s3prl_process.py).
"""

from __future__ import annotations

import functools
import os
import re
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
from fairseq_budget.downstream.scores import Score, read_layer_weights, read_score
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import sha256_file, write_json
from fairseq_budget.pretrained import MODEL_FILE, UNTRAINED, read_pretrained
from fairseq_budget.structured import conform, read_json
from fairseq_budget.upstream.scalars import SCALARS_FILE

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

    def num_hidden_states(self) -> int:
        """What it gives to choose from: the first layer's input and all outputs; log-mel one."""
        return 1 if self.checkpoint is None else 1 + _num_layers(self.checkpoint)


@functools.cache
def _weights_sha256(checkpoint: Path) -> str:
    return sha256_file(checkpoint / MODEL_FILE if checkpoint.is_dir() else checkpoint)


@functools.cache
def _num_layers(checkpoint: Path) -> int:
    return read_pretrained(checkpoint).encoder.resolved().encoder_layers


@dataclass(frozen=True)
class Protocol:
    """How a run differs from its task's configuration.

    ``layers``: "weighted", the sum that s3prl learns, or "last"; ``layer``: one of them, from 0, in
    their place. ``trainable``: the upstream learns, too. ``cache_gib``: room for a frozen one's
    hidden states, in memory for each run or, for all runs, in ``cache_folder``; None is the
    upstream's default, and 0 none.
    """

    learning_rate: float | None = None
    layers: str = "weighted"
    layer: int | None = None
    trainable: bool = False
    cache_gib: float | None = None
    cache_folder: Path | None = None

    def arguments(self) -> list[str]:
        heard = ["-s", "last_hidden_state"] if self.layers == "last" else []
        if self.layer is not None:
            heard = ["-l", str(self.layer)]
        return [*heard, *(["-f"] if self.trainable else [])]

    def overrides(self) -> list[str]:
        rate = self.learning_rate
        return [] if rate is None else [f"config.optimizer.lr={rate:g}"]

    def options(self) -> dict[str, Any]:
        """Of the upstream (``-g``)."""
        if self.cache_gib is None or self.trainable:
            return {}
        options: dict[str, Any] = {"cache_gib": self.cache_gib}
        if self.cache_folder is not None:
            options["cache_folder"] = str(self.cache_folder.absolute())
        return options


@dataclass(frozen=True)
class Result(Score):
    """The content of ``result.json``: a score, what it is of, and the settings that made it."""

    task: str = ""
    upstream: str = ""
    seed: int = 0
    learning_rate: float | None = None
    layer: int | None = None
    layer_weights: list[float] | None = None
    wall_s: float = 0.0
    key: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One training of a classifier; ``num_updates`` None means the configuration's.

    ``fold``: of those that its layout has. Where nothing is learned, it evaluates valid and test.
    """

    layout: Layout
    upstream: Upstream
    seed: int
    folder: Path
    num_updates: int | None = None
    protocol: Protocol = field(default_factory=Protocol)
    keeps_checkpoints: bool = True
    fold: int | None = None

    def options(self) -> dict[str, Any]:
        """Of the upstream (``-g``). An untrained one has the fresh weights of the run's seed."""
        if self.upstream.checkpoint is None:
            return {}
        untrained = {"untrained": self.seed} if self.upstream.untrained else {}
        return {**untrained, **self.protocol.options()}

    def arguments(self, part: str = "test") -> list[str]:
        """s3prl's arguments; `part`, valid or test, is what it evaluates if nothing is learned."""
        arguments = ["-p", str(self.folder), "--seed", str(self.seed), *self.protocol.arguments()]
        if self.upstream.checkpoint is None:
            arguments += ["-u", "budget_logmel"]
        else:
            arguments += ["-u", "budget_upstream", "-k", str(self.upstream.checkpoint)]
        if self.options():
            arguments += ["-g", str(self.folder / OPTIONS_FILE)]
        overrides = self.protocol.overrides()
        if self.fold is not None:
            overrides.append(f"config.downstream_expert.datarc.test_fold=fold{self.fold}")
        if self.num_updates is not None and self.layout.task.learns:
            overrides += update_overrides(self.num_updates, warm_up=not self.layout.request.superb)
        return self.layout.command(arguments, overrides, part=part)

    def commands(self) -> list[list[str]]:
        """The arguments of what is run, one after another; the last one evaluates test."""
        parts = ("test",) if self.layout.task.learns else ("valid", "test")
        return [self.arguments(part) for part in parts]

    def key(self) -> dict[str, Any]:
        """Settings with which a stored result must agree to stand for this run."""
        sources = self.layout.sources_sha256  # of layouts that older versions made there is none
        return {
            "command": shell_command(self.arguments()),
            "checkpoint_sha256": self.upstream.sha256(),
            "untrained": self.upstream.untrained,
            "halves": "cache_folder" in self.options(),  # what is kept on disk is rounded
            "layout": asdict(self.layout.request) | self.layout.num_utterances,
            **({"sources_sha256": sources} if sources else {}),
        }

    def stored(self) -> Result | None:
        """The result of an earlier run with the same settings, if there is one."""
        try:
            stored: Result = read_json(self.folder / RESULT_FILE, Result)
            for share in (stored.valid, stored.test):
                conform(share, self.layout.task.metrics[0].kind)
        except (OSError, ValueError):  # none, or none of ours: it is made again
            return None
        own = (self.layout.request.task, self.upstream.name, self.seed, self.key())
        is_own = own == (stored.task, stored.upstream, stored.seed, stored.key)
        return stored if is_own else None

    def result(self, s3prl: S3prlProcess) -> Result:
        """The stored result of this run, or that of running it now."""
        if (stored := self.stored()) is not None:
            return stored
        self.prepare()
        start = time.monotonic()
        score = self._score(s3prl)
        result = Result(
            **asdict(score),
            task=self.layout.request.task,
            upstream=self.upstream.name,
            seed=self.seed,
            learning_rate=self.protocol.learning_rate,
            layer=self.protocol.layer,
            layer_weights=read_layer_weights(self.folder, score.update),
            wall_s=round(time.monotonic() - start, 1),
            key=self.key(),
        )
        path = self.folder / RESULT_FILE
        write_json(path, asdict(result), sort_keys=False, ensure_ascii=False)
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
            options = self.folder / OPTIONS_FILE
            write_json(options, self.options(), sort_keys=False, ensure_ascii=False)

    def _goes_on(self) -> bool:
        """Whether s3prl takes up its checkpoint, and so other batches: in runs of days only."""
        return self.layout.request.superb and any(self.folder.glob("states-*.ckpt"))

    def _score(self, s3prl: S3prlProcess) -> Score:
        going_on = ["-a"] if self._goes_on() else []
        for arguments in self.commands():
            code = s3prl.run([*arguments, *going_on], self.folder / OUTPUT_FILE)
            if code:
                raise BudgetError(
                    f"{self.upstream.name}, seed {self.seed}: s3prl ended with exit code "
                    f"{code}: {_last_line(self.folder / OUTPUT_FILE)!r}; "
                    f"all it said is in {self.folder / OUTPUT_FILE}"
                )
        return read_score(self.folder, self.layout.task, self.fold)


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


def run_all(
    runs: Sequence[Run], num_jobs: int, failures: list[BudgetError] | None = None
) -> list[Result]:
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

        def result(run: Run) -> Result | None:
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


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
