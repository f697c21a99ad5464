"""What starting costs: CPU seconds (user and system) and heavy modules of commands that do little.

    OMP_NUM_THREADS=1 python scripts/bench/startup.py

fairseq-hydra-train --help stands for what stock fairseq takes before it does anything.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fairseq_budget.console.table import markdown_table

BIN = Path(sys.executable).parent
HEAVY = ("torch", "torch._dynamo", "sklearn", "scipy", "matplotlib", "transformers", "fairseq")
COMMANDS = (
    *(f"budget-{name} --help" for name in
      ("asr", "corpus", "downstream", "export", "import", "labels", "manifest", "plan", "report",
       "train")),
    "budget-plan length --help",
    "budget-plan params",
    "budget-train --list",
    "fairseq-hydra-train --help",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="of which the least counts")
    times = parser.parse_args().times
    rows = []
    for command in COMMANDS:
        words = [sys.executable, str(BIN / command.split()[0]), *command.split()[1:]]
        rows.append(
            {
                "command": f"`{command}`",
                "CPU (s)": f"{min(cpu_seconds(words) for _ in range(times)):.2f}",
                "imports": ", ".join(heavy_imports(words)) or "none of them",
            }
        )
    print(markdown_table(rows))


def cpu_seconds(words: Sequence[str]) -> float:
    """User and system time of a process; what it prints is not read."""
    before = os.times()
    subprocess.run(words, capture_output=True, check=True)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def heavy_imports(words: Sequence[str]) -> list[str]:
    """Those of `HEAVY` that a Python program imports."""
    program = [words[0], "-X", "importtime", *words[1:]]
    told = subprocess.run(program, capture_output=True, text=True, check=True).stderr
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    return [name for name in HEAVY if name in imported]


if __name__ == "__main__":
    main()
