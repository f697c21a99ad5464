"""``fairseq-hydra-train`` without its seconds of imports: forked off a process that has made them.

Same program, arguments and exit code as the command; what it needs is imported once for all tests.
Tests of the installed command itself start it as a user does (``conftest.run`` with ``env``).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PROGRAM = "fairseq-hydra-train"
_forkserver = multiprocessing.get_context("forkserver")
# nothing of ours: fairseq imports a user_dir only where it has not been imported yet
PRELOADED = ["fairseq_cli.hydra_train", "soundfile", "soxr", "safetensors.torch"]
_forkserver.set_forkserver_preload(PRELOADED)


class TrainingProcess:
    """A run that has been started: to be waited for, or killed."""

    def __init__(self, command: Sequence[object], cwd: Path, num_threads: int | None = None):
        self.command = [str(word) for word in command]
        self._folder = tempfile.TemporaryDirectory()
        self._files = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        self.process = _forkserver.Process(
            target=_main, args=(self.command, str(cwd), self._files, num_threads)
        )
        self.process.start()

    def wait(self, timeout: float = 300) -> subprocess.CompletedProcess:
        self.process.join(timeout)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
        with self._folder:
            output = [file.read_text(errors="replace") for file in self._files]
        if code is None:
            raise subprocess.TimeoutExpired(self.command, timeout, *output)
        return subprocess.CompletedProcess(self.command, code, *output)

    def kill(self) -> subprocess.CompletedProcess:
        self.process.kill()
        return self.wait()

    def kill_once(self, path: Path, timeout: float = 120) -> subprocess.CompletedProcess:
        """SIGKILL as soon as `path` is there, in the middle of whatever it does then."""
        self.interrupt_once(path, signal.SIGKILL, timeout)
        return self.wait()

    def interrupt_once(self, path: Path, number: int = signal.SIGINT, timeout: float = 120) -> None:
        """Send a signal, Ctrl-C's by default, as soon as `path` is there."""
        deadline = time.monotonic() + timeout
        while not path.exists() and self.process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(self.process.pid, number)


def _main(argv: list[str], cwd: str, files: list[Path], num_threads: int | None) -> None:
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT), number)
    os.chdir(cwd)
    sys.argv = argv
    multiprocessing.set_start_method("fork", force=True)  # what loaders use outside of this
    import torch
    from fairseq.logging import progress_bar
    from fairseq_cli.hydra_train import cli_main

    if num_threads:
        torch.set_num_threads(num_threads)
    try:
        cli_main()
    finally:
        progress_bar._close_writers()  # TensorBoard's, as at the end of the command's own process
