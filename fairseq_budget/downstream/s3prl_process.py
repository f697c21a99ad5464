"""A process that has imported s3prl and runs it, one run after another (upstream/serve.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from fairseq_budget.errors import BudgetError


class S3prlProcess:
    """Runs ``run_downstream.py`` on ``num_threads`` threads and a GPU; starts at the first run."""

    def __init__(self, num_threads: int, gpu: int | None = None) -> None:
        self._environment = {"OMP_NUM_THREADS": str(num_threads), **os.environ}
        if gpu is not None:
            self._environment["CUDA_VISIBLE_DEVICES"] = str(gpu)
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: Sequence[str], output: Path, folder: Path | None = None) -> int:
        """Run s3prl in a folder, by default this one; returns the exit code.

        All that it says goes to the file `output`. Raises BudgetError if s3prl cannot be started.
        """
        process = self._process or self._start()
        job = {
            "arguments": list(arguments),
            "output": str(output.absolute()),
            "folder": str(folder or Path.cwd()),
        }
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, and has no answer
            process.stdin.write(f"{json.dumps(job)}\n")
            process.stdin.flush()
        return int(self._answer(process))

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "fairseq_budget.upstream.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            text=True,
        )
        self._process = process
        self._answer(process)
        return process

    def _answer(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "null" or line.strip().lstrip("-").isdigit():
                return line
        self.close()
        code = process.wait()
        raise BudgetError(
            f"the process of s3prl ended with exit code {code}; `s3prl run_downstream.py --help` "
            "shows whether s3prl can be started; a negative code is a signal: out of memory?"
        )

    def close(self) -> None:
        """End the process once it has nothing to do."""
        process, self._process = self._process, None
        if process:
            with suppress(BrokenPipeError):
                process.communicate()  # closes its stdin, and reads to its end

    def __enter__(self) -> S3prlProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
