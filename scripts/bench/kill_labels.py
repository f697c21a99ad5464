"""Twenty kills at random moments of labelling must give the bytes of an uninterrupted run.

    python scripts/bench/kill_labels.py --work /tmp/kills

The demo corpus, listed several times over, is labelled by `budget-labels make` with two workers;
SIGKILL comes again and again at a random moment, then the command is let finish.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.demo.corpus import make_demo_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--copies", type=int, default=20, help="how often the corpus is listed")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    work = args.work.absolute()
    rows = make_demo_corpus(work / "speech")
    for folder in ("whole", "killed"):
        shutil.rmtree(work / folder, ignore_errors=True)
        for split in ("train", "valid"):
            utterances = [
                Utterance((Piece(row.path),), row.num_samples) for row in rows if row.split == split
            ]
            Manifest(work / "speech", utterances * args.copies).write(
                work / folder / f"{split}.tsv"
            )
    started = time.monotonic()
    start(work / "whole").wait()
    duration_s = time.monotonic() - started
    print(f"uninterrupted: {duration_s:.1f} s")
    rng, num_kills, num_runs = random.Random(args.seed), 0, 0
    while num_kills < args.kills:
        process, at_s = start(work / "killed"), rng.uniform(0, duration_s)
        time.sleep(at_s)
        num_runs += 1
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            num_kills += 1
            print(f"kill {num_kills} after {at_s:.1f} s: {progress(work / 'killed')}")
        process.wait()
        if (work / "killed/labels.json").exists() and process.returncode == 0:
            compare(work)  # it was faster than the kill: compare, and begin from nothing
            for path in (work / "killed").glob("*[!v]"):
                path.unlink() if path.is_file() else shutil.rmtree(path)
    start(work / "killed").wait()
    compare(work)


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).parent / "budget-labels"), "make", "--clusters", "100"]
    arguments = ["--data", str(folder), "--workers", "2", "--sample-frames", "2000000"]
    return subprocess.Popen(
        [*command, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def progress(folder: Path) -> str:
    counts = {
        path.parent.name: len(list(path.glob("[0-9]*")))
        for path in (folder / ".budget_labels").glob("*/*")
    }
    made = [path.name for path in folder.glob("*.km")]
    return f"parts {counts or 'none'}, labelled {made or 'none'}"


def compare(work: Path) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    same = contents(work / "whole") == contents(work / "killed")
    print("the bytes are the same" if same else "THE BYTES DIFFER")
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
