"""Ten kills at random moments of a sweep must give the table of one that was left alone.

    python scripts/bench/kill_sweep.py --data data --checkpoint exported/ --work kills

`budget-downstream superb` runs on the layouts below --data; SIGKILL comes again and again at a
random moment, then the command is let finish.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

OWN = ("command",)  # which has the folder's name in it


def main() -> None:
    """Run the sweep twice, once with kills, and compare what it ends with."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of layouts")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    shutil.rmtree(args.work, ignore_errors=True)
    alone, killed = args.work / "alone", args.work / "killed"
    first_s, duration_s = measure(args, alone)
    print(f"left alone: {duration_s:.0f} s, the first run after {first_s:.0f} s", flush=True)
    # late enough for runs to have ended, and so early that some are left after all kills
    latest_s = 1.3 * (first_s + (duration_s - first_s) / args.kills)
    moments, num_kills = random.Random(args.seed), 0
    while num_kills < args.kills:
        process, wait_s = start(args, killed), moments.uniform(0, latest_s)
        time.sleep(wait_s)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        num_kills += 1
        done = len(list(killed.rglob("result.json")))
        print(f"kill {num_kills} after {wait_s:.0f} s: {done} runs had ended", flush=True)
    start(args, killed).wait()
    if cells(killed) != cells(alone):
        sys.exit("the sweep that was killed has another table")
    print(f"equal after {num_kills} kills")


def measure(args: argparse.Namespace, out: Path) -> tuple[float, float]:
    """Seconds until the first run of a sweep has ended, and until all have."""
    started, first_s = time.monotonic(), 0.0
    process = start(args, out)
    while process.poll() is None:
        time.sleep(0.1)
        if not first_s and any(out.rglob("result.json")):
            first_s = time.monotonic() - started
    return first_s, time.monotonic() - started


def start(args: argparse.Namespace, out: Path) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).parent / "budget-downstream"), "superb", "--logmel"]
    upstream = ["--upstream", f"encoder={args.checkpoint}", "--lrs", "1e-2:1e-3"]
    where = ["--data", str(args.data), "--out", str(out), "--updates", str(args.updates)]
    where += ["--seeds", str(args.seeds)]
    return subprocess.Popen(
        [*command, *upstream, *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def cells(folder: Path) -> list[dict[str, Any]]:
    rows = json.loads((folder / "superb.json").read_text())
    return [{name: value for name, value in row.items() if name not in OWN} for row in rows]


if __name__ == "__main__":
    main()
