"""What starting costs: CPU seconds (user and system) and heavy modules of commands that do little.

    OMP_NUM_THREADS=1 python scripts/bench/startup.py --json docs/data/bench/startup.json

A run of three updates is among them, with what it takes until the first and after "done training".
Importing fairseq's command stands for what stock fairseq takes before it does anything.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # gpu_checks, which has a corpus

from gpu_checks.corpus import corpus
from gpu_checks.registry import Options

from fairseq_budget.console.table import table
from fairseq_budget.files import write_json
from fairseq_budget.run.presets import preset_folder

BIN = Path(sys.executable).parent
HEAVY = ("torch", "torch._dynamo", "sklearn", "scipy", "matplotlib", "transformers", "fairseq")
COMMANDS = (
    *(f"budget-{name} --help" for name in
      ("asr", "corpus", "downstream", "export", "import", "labels", "manifest", "plan", "report",
       "train")),
    "budget-plan length --help",
    "budget-plan params",
    "budget-train --list",
    "python -c 'import fairseq_cli.hydra_train'",
)  # fmt: skip
TRAINING = "fairseq-hydra-train --config-name budget_tera_demo"
SETTINGS = ("common.log_interval=1", "common.log_format=simple", "optimization.max_update=3",
            "lr_scheduler.warmup_updates=1", "dataset.disable_validation=true",
            "checkpoint.no_save=true")  # fmt: skip
SIGNS = {"until its first update (s)": "[train_inner]", "after the last one (s)": "done training"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="of which the least counts")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = corpus(Options("cpu", small=True, precisions=["fp32"], folder=Path(folder)))
        given = f"--config-dir {preset_folder()} task.data={data} checkpoint.save_dir={folder}/run"
        words = {command: program(command) for command in (*COMMANDS, TRAINING)}
        words[TRAINING] += [*given.split(), *SETTINGS]
        rows = [
            {
                "command": f"`{command}`",
                **least([seconds(words[command]) for _ in range(args.times)]),
                "imports": ", ".join(heavy_imports(words[command])) or "none of them",
            }
            for command in words
        ]
    print(table(rows))
    if args.json:
        write_json(args.json, {"rows": rows}, sort_keys=False)


def program(command: str) -> list[str]:
    name, *words = shlex.split(command)
    return [sys.executable, *([] if name == "python" else [str(BIN / name)]), *words]


def least(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each number by itself."""
    return {what: round(min(run[what] for run in runs), 2) for what in runs[0]}


def seconds(words: Sequence[str]) -> dict[str, float]:
    """User and system time of a process; where it trains, of its beginning and its end, too."""
    before, told = os.times(), dict.fromkeys(SIGNS, 0.0)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        process = psutil.Process(run.pid)
        for line in run.stdout or ():
            for what, sign in SIGNS.items():
                if sign in line and not told[what]:
                    told[what] = sum(process.cpu_times()[:2])
    if run.returncode:
        sys.exit(f"{words} ended with {run.returncode}")
    after = os.times()
    cpu_s = sum(after[2:4]) - sum(before[2:4])
    first, last = told
    parts = {first: told[first], last: cpu_s - told[last]} if told[last] else {}
    return {"CPU (s)": cpu_s, **parts}


def heavy_imports(words: Sequence[str]) -> list[str]:
    """Those of `HEAVY` that a Python program imports."""
    program = [words[0], "-X", "importtime", *words[1:]]
    told = subprocess.run(program, capture_output=True, text=True, check=True).stderr
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    return [name for name in HEAVY if name in imported]


if __name__ == "__main__":
    main()
