"""Labelling speed: budget-labels beside the simple_kmeans scripts of the installed fairseq.

    python scripts/bench/labels.py --work /tmp/bench --hours 3

Both cluster the MFCC of the same synthetic speech (demo corpora of several seeds), fitted on the
same frames, and label all of it. simple_kmeans runs as its README says: one shard, unmodified,
each script a process of its own; its dump script gets a torchaudio that works beside a CPU torch.
Both run on one thread, and their seconds are those of the processor (user and system), which a
machine that others use, too, stretches least. What the interpreters need to start and import is
measured apart (the same commands, with nothing to do).
Inertia of both is computed on all frames that simple_kmeans dumped.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np

from fairseq_budget.console.table import markdown_table
from fairseq_budget.corpus.column_kinds import model_path
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.demo.corpus import make_demo_corpus
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.labels.features import Feature
from fairseq_budget.labels.fitting import Fit
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.labelling import Apply
from fairseq_budget.labels.parts import Workers, single_threaded
from fairseq_budget.prepare.summary import Summary

NUM_CLUSTERS = 100
FAIRSEQ = importlib.util.find_spec("fairseq")
STOCK = Path(str(FAIRSEQ and FAIRSEQ.origin)).parent / "examples/hubert/simple_kmeans"
WITH_TORCHAUDIO = """
import runpy, sys, types
from fairseq_budget.upstream.compat import load_torchaudio
load_torchaudio()
sys.modules.setdefault("torchaudio.sox_effects", types.ModuleType("sox"))  # imported, never called
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder; speech is made in it once"
    )
    parser.add_argument("--hours", type=float, default=3.0, help="of speech")
    parser.add_argument("--percent", type=float, default=1.0, help="share to fit on, 0 to 1")
    parser.add_argument("--json", type=Path, help="write what was measured to this file, too")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    work = args.work.absolute()
    hours = write_manifest(work, args.hours)
    stock, frames, theirs = run_stock(work, args.percent)
    num_frames = num_sampled_frames(work / "stock/out/train_0_1.len", args.percent)
    ours, model = run_ours(work, num_frames)
    with single_threaded():
        inertias = [KMeans(c, {}).inertia(frames) for c in (theirs, model.centroids)]
    print(f"{hours:.2f} hours, {len(frames):,} frames, {args.percent:.0%} to fit on\n")
    print(markdown_table(rows(stock, ours)))
    print(f"\ninertia: simple_kmeans {inertias[0]:.3f}, budget-labels {inertias[1]:.3f} "
          f"({inertias[1] / inertias[0] - 1:+.2%})")  # fmt: skip
    if args.json:
        measured = {"hours": hours, "num_frames": len(frames), "percent": args.percent}
        measured |= {"rows": rows(stock, ours), "inertia": inertias}
        with atomic_write(args.json) as file:
            file.write(json.dumps(measured, indent=2) + "\n")


def write_manifest(work: Path, hours: float) -> float:
    """List so much speech, made where it is missing; returns its hours."""
    utterances: list[Utterance] = []
    for seed in range(1, 1000):
        utterances += (
            Utterance((Piece(f"speech-{seed}/{row.path}"),), row.num_samples)
            for row in make_demo_corpus(work / f"speech-{seed}", seed=seed)
        )
        ends = np.cumsum([utterance.num_samples for utterance in utterances]) / SAMPLE_RATE / 3600
        if ends[-1] >= hours:
            break
    manifest = Manifest(work, utterances[: int(np.searchsorted(ends, hours)) + 1])
    for folder in ("stock", "stages", "command"):
        for old in [*(work / folder).glob("*"), *(work / folder / "out").glob("*")]:
            old.unlink() if old.is_file() else None
        manifest.write(work / folder / "train.tsv")
    return Summary.of(work, manifest).hours


def run_stock(
    work: Path, percent: float
) -> tuple[dict[str, tuple[float, float]], np.ndarray, np.ndarray]:
    """Seconds and start-up of each stage; the frames; the centroids."""
    folder = work / "stock"
    out, model = folder / "out", folder / "kmeans.bin"
    dump = [sys.executable, "-c", WITH_TORCHAUDIO, STOCK / "dump_mfcc_feature.py"]
    fit = [sys.executable, STOCK / "learn_kmeans.py"]
    apply = [sys.executable, STOCK / "dump_km_label.py"]
    fit_arguments = [out, "train", 1, model, NUM_CLUSTERS, "--percent", percent]
    seconds = {
        "MFCC": (timed(*dump, folder, "train", 1, 0, out), timed(*dump, "--help")),
        "fit": (timed(*fit, *fit_arguments), timed(*fit, "--help")),
        "apply": (timed(*apply, out, "train", model, 1, 0, out), timed(*apply, "--help")),
    }
    centroids = joblib.load(model).cluster_centers_
    return seconds, np.load(out / "train_0_1.npy"), centroids


def num_sampled_frames(lengths: Path, percent: float) -> int:
    """On how many frames learn_kmeans.py fits; as many of ours are the same ones, with its seed."""
    num_frames = np.loadtxt(lengths, dtype=np.int64)
    num_chosen = int(np.ceil(len(num_frames) * percent))
    chosen = np.random.RandomState(0).choice(len(num_frames), num_chosen, replace=False)
    return int(num_frames[chosen].sum())


def run_ours(work: Path, num_frames: int) -> tuple[dict[str, tuple[float, float]], KMeans]:
    """Seconds of each stage, of the start-up, and of all as one command; the model."""
    start_up = timed(sys.executable, "-c", "import fairseq_budget.cli.labels.command")
    fit = Fit(work / "stages", Feature(), NUM_CLUSTERS, num_frames)
    with Workers(1) as workers:
        extract_s = clocked(lambda: fit.extract(workers))
        read_s = clocked(lambda: fit.extract(workers))  # its parts; a run reads them but once
        fit_s = clocked(lambda: fit.run(workers)) - read_s
        apply_s = clocked(lambda: Apply(work / "stages", Feature(), ("train",)).run(workers))
    total_s = timed(
        *(Path(sys.executable).parent / "budget-labels", "make", "--data", work / "command"),
        *("--clusters", NUM_CLUSTERS, "--sample-frames", num_frames, "--workers", 1),
    )
    model = KMeans.load(model_path(work / "command", "km"))
    assert model.sha256 == KMeans.load(model_path(work / "stages", "km")).sha256
    seconds = {"MFCC": (extract_s, 0.0), "fit": (fit_s, 0.0), "apply": (apply_s, 0.0)}
    return {**seconds, "start-up": (start_up, start_up), "command": (total_s, start_up)}, model


def rows(
    stock: dict[str, tuple[float, float]], ours: dict[str, tuple[float, float]]
) -> list[dict[str, str]]:
    """One row for each stage without start-up, then the start-up, then all as commands."""
    stages = {stage: (stock[stage][0] - stock[stage][1], ours[stage][0]) for stage in stock}
    stages["start-up"] = (sum(start for _, start in stock.values()), ours["start-up"][0])
    total_s = sum(total for total, _ in stock.values())
    stages["commands, with start-up and, of ours, a check"] = total_s, ours["command"][0]
    return [
        {
            "stage": stage,
            "simple_kmeans (s)": f"{theirs_s:.2f}",
            "budget-labels (s)": f"{ours_s:.2f}",
            "times faster": f"{theirs_s / ours_s:.1f}",
        }
        for stage, (theirs_s, ours_s) in stages.items()
    ]


def clocked(work: Callable[[], object]) -> float:
    """Processor seconds of this process for something."""
    started = time.process_time()
    work()
    return time.process_time() - started


def timed(*command: object) -> float:
    """Processor seconds of a command; its output is shown when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{json.dumps(words)}\n{done.stdout}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
