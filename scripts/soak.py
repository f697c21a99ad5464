"""Kills of runs at random moments, inside saves too, and what they have lost by them.

    python scripts/soak.py --work soak --kills 50 --out docs/soak.md

Of each objective one run is left alone; another one, with the same command, is sent SIGKILL again
and again: at a random moment of its start in one session of five, else up to two seconds after it
has gone on, while it saves after every update. Once it has been killed so often it may end, and its
weights, optimizer, counts and place in the data are compared with those of the first, bit for bit.
A folder of an earlier soak is begun anew.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from fairseq_budget.console.table import column, table
from fairseq_budget.files import atomic_write

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
OBJECTIVES = ("tera", "hubert", "hubert_zipformer", "wav2vec2")  # budget_{}_demo
SHORT = (
    *("task.max_sample_size=16000", "task.min_sample_size=8000", "dataset.max_tokens=48000"),
    *("dataset.disable_validation=true", "checkpoint.save_interval_updates=1"),
)
START_S, TRAINING_S = 8.0, 2.0  # the longest waits before a kill


@dataclass(frozen=True)
class Soaked:
    """One objective's run."""

    objective: str = column("objective")
    num_kills: int = column("kills")
    num_in_start: int = column("before it went on")
    num_in_saves: int = column("inside a save")
    num_updates: int = column("updates")
    is_equal: bool = column("equal to the run that was left alone")


def main() -> None:
    """Make the corpus, the runs and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of corpus and runs")
    parser.add_argument("--kills", type=int, default=50, help="of each objective (default: 50)")
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=OBJECTIVES)
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--out", type=Path, help="Markdown file of the table")
    args = parser.parse_args()
    data = _data(args.work)
    rows = [_soak(args.work, data, name, args.kills, args.seed) for name in args.objectives]
    shown = table(rows)
    print(shown)
    if args.out:
        with atomic_write(args.out) as file:
            file.write(f"# Soak\n\n`python {' '.join(sys.argv)}`\n\n{shown}\n")
    if not all(row.is_equal for row in rows):
        sys.exit("a run that was killed is not the run that was left alone")


def _data(work: Path) -> Path:
    """The demo corpus with labels of 20 clusters."""
    data = work / "manifests"
    corpus = work / "corpus"
    for command in (
        ["budget-corpus", corpus],
        ["budget-manifest", "--trainpref", corpus / "train", "--validpref", corpus / "valid",
         "--destdir", data],
        ["budget-labels", "make", "--data", data, "--clusters", 20],
    ):  # fmt: skip
        subprocess.run([BIN / str(command[0]), *map(str, command[1:])], check=True)
    return data


def _soak(work: Path, data: Path, name: str, num_kills: int, seed: int) -> Soaked:
    shutil.rmtree(work / name, ignore_errors=True)
    left_alone, killed = (work / name / run for run in ("alone", "killed"))
    num_updates = 12 * num_kills + 20
    moments = random.Random(f"{seed} {name}")
    counts = {"start": 0, "save": 0, "all": 0}
    for _ in tqdm(range(num_kills), desc=f"{name}: kills"):
        in_start = moments.random() < 0.2
        if not _kill(_command(name, data, killed, num_updates), killed, moments, in_start):
            break  # it had ended before
        counts["all"] += 1
        counts["start"] += in_start
        counts["save"] += any(killed.glob(".checkpoint*.pt.*"))
    for folder in (killed, left_alone):
        folder.mkdir(exist_ok=True, parents=True)
        with (folder.parent / f"{folder.name}.txt").open("w") as output:
            command = _command(name, data, folder, num_updates)
            subprocess.run(command, check=True, cwd=ROOT, stdout=output, stderr=output)
    states = [torch.load(f / "checkpoint_last.pt", weights_only=True) for f in (killed, left_alone)]
    return Soaked(
        name,
        counts["all"],
        counts["start"],
        counts["save"],
        states[0]["optimizer_history"][-1]["num_updates"],
        _are_equal(*states),
    )


def _command(name: str, data: Path, folder: Path, num_updates: int) -> list[str]:
    return [
        *(str(BIN / "fairseq-hydra-train"), "--config-dir", "examples/"),
        *("--config-name", f"budget_{name}_demo"),
        *("+task.user_dir=fairseq_budget", f"task.data={data.resolve()}"),
        *(f"checkpoint.save_dir={folder.resolve()}", f"optimization.max_update={num_updates}"),
        *SHORT,
    ]


def _kill(command: list[str], folder: Path, moments: random.Random, in_start: bool) -> bool:
    """Start a session and kill it at a random moment; False if it had ended by itself."""
    last = folder / "checkpoint_last.pt"
    before = last.stat().st_mtime_ns if last.exists() else 0
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        if in_start:
            time.sleep(moments.uniform(0, START_S))
        else:
            while process.poll() is None:
                if last.exists() and last.stat().st_mtime_ns != before:
                    break
                time.sleep(0.005)
            time.sleep(moments.uniform(0, TRAINING_S))
        process.kill()
    return process.returncode == -signal.SIGKILL


def _are_equal(ours: Any, theirs: Any) -> bool:
    """Whether states are, in all that a run goes on with; clocks are not."""
    keys = ("model", "last_optimizer_state", "task_state")
    place = [state["extra_state"]["train_iterator"] for state in (ours, theirs)]
    return _same(*place) and all(_same(ours[key], theirs[key]) for key in keys)


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(_same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    return bool(ours == theirs)


if __name__ == "__main__":
    main()
