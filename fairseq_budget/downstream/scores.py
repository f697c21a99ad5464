"""Test accuracies of several upstreams on one layout, over several seeds of the classifier.

Each run is s3prl's own runner in a process of its own. It evaluates validation and test together
as it trains; the accuracy of a run is the test accuracy at its best validation accuracy, the first
of equals, which is where s3prl keeps ``dev-best.ckpt``.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from typing import Annotated, Any

from fairseq_budget.console.progress import Progress
from fairseq_budget.downstream.layout import Layout, shell_command
from fairseq_budget.downstream.s3prl_process import S3prlProcess
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, reading, sha256_file
from fairseq_budget.pretrained import MODEL_FILE
from fairseq_budget.structured import Range, Share, conform, read_json

RESULT_FILE, OUTPUT_FILE = "result.json", "output.txt"
UNTRAINED = ":untrained"
_EVALUATION = re.compile(r"(dev|test) at step (\d+): ([0-9.eE+-]+)")


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
        if self.checkpoint is None:
            return None
        is_folder = self.checkpoint.is_dir()
        return sha256_file(self.checkpoint / MODEL_FILE if is_folder else self.checkpoint)


@dataclass(frozen=True)
class Score:
    """The best evaluation of one run: accuracies in [0, 1] and the update it was made at."""

    update: Annotated[int, Range(0, 1 << 53)]
    valid: Share
    test: Share


@dataclass(frozen=True)
class _Result(Score):
    """The content of ``result.json``."""

    upstream: str
    seed: int
    wall_s: float
    key: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One training of a classifier; ``num_updates`` None means the configuration's."""

    layout: Layout
    upstream: Upstream
    seed: int
    folder: Path
    num_updates: int | None = None

    def arguments(self) -> list[str]:
        """s3prl's arguments. An untrained upstream has the fresh weights of the run's seed."""
        arguments = ["-p", str(self.folder), "--seed", str(self.seed)]
        if self.upstream.checkpoint is None:
            arguments += ["-u", "budget_logmel"]
        else:
            arguments += ["-u", "budget_upstream", "-k", str(self.upstream.checkpoint)]
        if self.upstream.untrained:
            arguments += ["-g", str(self.folder / "untrained.yaml")]
        overrides = [] if self.num_updates is None else update_overrides(self.num_updates)
        return self.layout.command(arguments, overrides)

    def key(self) -> dict[str, Any]:
        """Settings with which a stored result must agree to stand for this run."""
        return {
            "command": shell_command(self.arguments()),
            "checkpoint_sha256": self.upstream.sha256(),
            "layout": asdict(self.layout.request) | self.layout.num_utterances,
        }

    def result(self, s3prl: S3prlProcess) -> dict[str, Any]:
        """The stored result of this run, or that of running it now."""
        key, name, seed = self.key(), self.upstream.name, self.seed
        try:
            stored = read_json(self.folder / RESULT_FILE, _Result)
            if (stored.key, stored.upstream, stored.seed) == (key, name, seed):
                return asdict(stored)
        except (OSError, ValueError):
            pass  # none, or none of ours: it is made again
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log.log").unlink(missing_ok=True)  # s3prl appends to it
        if self.upstream.untrained:
            (self.folder / "untrained.yaml").write_text(f"untrained: {self.seed}\n")
        start = time.monotonic()
        score = self._train(s3prl)
        result = {
            "upstream": name,
            "seed": seed,
            **asdict(score),
            "wall_s": round(time.monotonic() - start, 1),
            "key": key,
        }
        _write_json(self.folder / RESULT_FILE, result)
        return result

    def _train(self, s3prl: S3prlProcess) -> Score:
        code = s3prl.run(self.arguments(), self.folder / OUTPUT_FILE)
        if code:
            raise BudgetError(
                f"{self.upstream.name}, seed {self.seed}: s3prl ended with exit code "
                f"{code}: {_last_line(self.folder / OUTPUT_FILE)!r}; "
                f"all it said is in {self.folder / OUTPUT_FILE}"
            )
        return read_score(self.folder / "log.log")


def update_overrides(num_updates: int) -> list[str]:
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
        f"config.scheduler.num_warmup_steps={num_updates // 10}",
    ]


def read_score(log: Path) -> Score:
    """The best evaluation in s3prl's ``log.log``; BudgetError where there is none."""
    accuracies: dict[str, dict[int, float]] = {"dev": {}, "test": {}}
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    with reading(log, "remove it and train again"):
        for line in text.splitlines():
            if match := _EVALUATION.fullmatch(line):
                place = f"{match[1]} at step {match[2][:20]}"
                accuracies[match[1]][int(match[2])] = conform(float(match[3]), Share, place)
    both = sorted(accuracies["dev"].keys() & accuracies["test"].keys())
    if not both:
        raise BudgetError(f"{log} has no evaluation of dev and test; train for more updates")
    best = max(both, key=lambda update: accuracies["dev"][update])  # the first of equals
    return Score(best, accuracies["dev"][best], accuracies["test"][best])


def run_all(runs: Sequence[Run], num_jobs: int) -> list[dict[str, Any]]:
    """The results of all runs, in their order, ``num_jobs`` processes at a time."""
    num_threads = max(1, (os.cpu_count() or 1) // num_jobs)
    with ExitStack() as opened, ThreadPoolExecutor(num_jobs) as pool:
        idle: Queue[S3prlProcess] = Queue()
        for _ in range(num_jobs):
            idle.put(opened.enter_context(S3prlProcess(num_threads)))

        def result(run: Run) -> dict[str, Any]:
            s3prl = idle.get()
            try:
                return run.result(s3prl)
            finally:
                idle.put(s3prl)

        results = pool.map(result, runs)
        return list(Progress(results, total=len(runs), unit="run", quiet_s=0))


def summarize(results: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """One row per upstream: mean and sample standard deviation of test accuracy, in percent."""
    rows = []
    for name in dict.fromkeys(result["upstream"] for result in results):
        own = [result for result in results if result["upstream"] == name]
        test = [100 * result["test"] for result in own]
        spread = f" ± {statistics.stdev(test):.1f}" if len(test) > 1 else ""
        rows.append(
            {
                "upstream": name,
                "test accuracy (%)": f"{statistics.mean(test):.1f}{spread}",
                "each seed": ", ".join(f"{accuracy:.1f}" for accuracy in test),
                "valid (%)": f"{100 * statistics.mean(result['valid'] for result in own):.1f}",
            }
        )
    return rows


def write_results(path: Path, layout: Layout, results: Sequence[dict[str, Any]]) -> None:
    """All results, each with its command, and the table made of them."""
    _write_json(
        path,
        {
            "task": layout.request.task,
            "num_utterances": layout.num_utterances,
            "num_classes": len(layout.classes),
            "table": summarize(results),
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
