"""One synthetic corpus and one pre-trained checkpoint, shared by all tests of users' commands."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.audio.io import write_audio
from tests.training_process import PROGRAM, TrainingProcess

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
Run = Callable[..., subprocess.CompletedProcess]


def run(*command: object, cwd: Path = ROOT, env: dict | None = None, check: bool = True):
    """Run a command of this environment as a user would; its output is shown when it fails."""
    if command[0] == PROGRAM and env is None:
        done = TrainingProcess(command, cwd).wait()
    else:
        done = _run_installed(*command, cwd=cwd, env=env or {})
    if check and done.returncode:
        pytest.fail(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def _run_installed(*command: object, cwd: Path, env: dict) -> subprocess.CompletedProcess:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def on_two_processes(command: Sequence[object]) -> list[TrainingProcess]:
    """Start both ranks of one run, as a launcher would on a machine without a GPU."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    where = [
        "common.cpu=true", "distributed_training.distributed_world_size=2",
        "distributed_training.distributed_no_spawn=true", "distributed_training.device_id=0",
        f"distributed_training.distributed_init_method=tcp://localhost:{port}",
        "distributed_training.distributed_backend=gloo",
    ]  # fmt: skip
    ranks = ([*command, *where, f"distributed_training.distributed_rank={r}"] for r in (0, 1))
    return [TrainingProcess(words, ROOT, num_threads=1) for words in ranks]


def train_command(
    data: Path,
    save_dir: Path,
    *overrides: str,
    config_dir: object = "examples/",
    preset: str = "budget_tera_demo",
):
    """The README's training command on a demo preset, made short."""
    return [
        "fairseq-hydra-train", "--config-dir", config_dir, "--config-name", preset,
        "+task.user_dir=fairseq_budget", f"task.data={data}", f"checkpoint.save_dir={save_dir}",
        "optimization.max_update=20", "lr_scheduler.warmup_updates=5", "dataset.max_tokens=128000",
        "common.log_interval=5", "common.log_format=simple", "dataset.num_workers=1", *overrides,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory) -> Path:
    """A small demo corpus: 4 speakers, sentences and commands."""
    from fairseq_budget.demo.corpus import make_demo_corpus

    folder = tmp_path_factory.mktemp("demo") / "corpus"
    make_demo_corpus(folder, num_speakers=4, num_sentences=72, num_commands=24, progress=False)
    return folder


@pytest.fixture(scope="session")
def data(demo_folder, tmp_path_factory) -> Path:
    """Manifests of the demo corpus in 3 s pieces."""
    plain, cut = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("cut")
    run("budget-manifest", "--trainpref", demo_folder / "train", "--validpref",
        demo_folder / "valid", "--destdir", plain)  # fmt: skip
    for split in ("train", "valid"):
        run("budget-manifest", "cut", "--manifest", plain / f"{split}.tsv", "--seconds", 3,
            "--destdir", cut)  # fmt: skip
    return cut


@pytest.fixture(scope="session")
def training(data, tmp_path_factory):
    """A finished run of 20 updates: (folder of its checkpoints, what it printed)."""
    pytest.importorskip("fairseq")
    folder = tmp_path_factory.mktemp("checkpoints")
    extras = [f"common.tensorboard_logdir={folder}/board", f"common.log_file={folder}/train.log"]
    done = run(*train_command(data, folder, *extras))
    return folder, done.stdout + done.stderr


@pytest.fixture(scope="session")
def checkpoint(training) -> Path:
    return training[0] / "checkpoint_last.pt"


@pytest.fixture(scope="session")
def exported(checkpoint, tmp_path_factory) -> Path:
    """The checkpoint as a portable folder."""
    folder = tmp_path_factory.mktemp("exported") / "tera"
    run("budget-export", checkpoint, folder)
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``{label}_{speaker}_{take}.wav``: 3 labels (tones), 2 speakers (loudness), 8 takes."""
    folder = tmp_path_factory.mktemp("digits")
    generator = np.random.default_rng(7)
    for label in range(3):
        for speaker, loudness in (("ann", 0.1), ("bob", 0.4)):
            for take in range(8):
                time_s = np.arange(4800 + 160 * take) / 16000
                samples = loudness * np.sin(2 * np.pi * 300 * (label + 1) * time_s)
                samples += 0.01 * generator.standard_normal(len(samples))
                path = folder / f"{label}_{speaker}_{take}.wav"
                write_audio(path, samples.astype(np.float32), 16000)
    return folder
