"""Labelling speed: budget-labels beside the simple_kmeans scripts of the installed fairseq.

    python scripts/bench/labels.py --work /tmp/bench

Both cluster the MFCC of the same synthetic speech (demo corpora of several seeds), fitted on the
same frames, and label all of it. simple_kmeans runs as its README says: one shard, unmodified,
each script a process of its own; its dump script gets a torchaudio that works beside a CPU torch.
Each of its stages runs with one thread and with all, and the faster one counts: on a machine that
others use, too, threads that wait for each other can be fifty times slower than one. What the
interpreters need to start and import is measured apart (the same commands, with nothing to do).
Inertia of both is computed on all frames that simple_kmeans dumped.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import joblib
import numpy as np
from tqdm import tqdm

from fairseq_budget.console.table import markdown_table
from fairseq_budget.corpus.column_kinds import model_path
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.demo.corpus import make_demo_corpus
from fairseq_budget.labels.features import Feature
from fairseq_budget.labels.fitting import Fit
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.labelling import Apply
from fairseq_budget.labels.parts import Workers, single_threaded

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
    parser.add_argument("--corpora", type=int, default=6, help="demo corpora, about 25 min each")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--percent", type=float, default=1.0, help="share to fit on, 0 to 1")
    args = parser.parse_args()
    hours = write_manifest(args.work.absolute(), args.corpora)
    stock, frames, theirs = run_stock(args.work.absolute(), args.percent)
    num_frames = num_sampled_frames(args.work / "stock/out/train_0_1.len", args.percent)
    ours, total_s, model = run_ours(args.work.absolute(), args.workers, num_frames)
    share, load = f"{args.percent:.0%} to fit on", os.getloadavg()[0]
    print(f"{hours:.2f} hours, {len(frames):,} frames, {share}, load {load:.1f}\n")
    print(markdown_table(rows(stock, ours)))
    with single_threaded():
        inertias = [KMeans(c, {}).inertia(frames) for c in (theirs, model.centroids)]
    print(f"\ninertia: simple_kmeans {inertias[0]:.3f}, budget-labels {inertias[1]:.3f} "
          f"({inertias[1] / inertias[0] - 1:+.2%})")  # fmt: skip
    print(f"`budget-labels make`, start-up and check of all labels included: {total_s:.1f} s")


def write_manifest(work: Path, num_corpora: int) -> float:
    utterances = [
        Utterance((Piece(f"speech-{seed}/{row.path}"),), row.num_samples)
        for seed in range(1, num_corpora + 1)
        for row in make_demo_corpus(work / f"speech-{seed}", seed=seed)
    ]
    manifest = Manifest(work, utterances)
    for folder in ("stock", "stages", "command"):
        for old in [*(work / folder).glob("*"), *(work / folder / "out").glob("*")]:
            old.unlink() if old.is_file() else None
        manifest.write(work / folder / "train.tsv")
    return manifest.summary()["hours"]


def run_stock(
    work: Path, percent: float
) -> tuple[dict[str, tuple[float, float]], np.ndarray, np.ndarray]:
    """Wall time and start-up of each stage, in seconds; the frames; the centroids."""
    folder = work / "stock"
    out, model = folder / "out", folder / "kmeans.bin"
    dump = [sys.executable, "-c", WITH_TORCHAUDIO, STOCK / "dump_mfcc_feature.py"]
    fit = [sys.executable, STOCK / "learn_kmeans.py"]
    apply = [sys.executable, STOCK / "dump_km_label.py"]
    fit_arguments = [out, "train", 1, model, NUM_CLUSTERS, "--percent", percent]
    seconds = {
        "MFCC": (best_of(*dump, folder, "train", 1, 0, out), timed(*dump, "--help")),
        "fit": (best_of(*fit, *fit_arguments), timed(*fit, "--help")),
        "apply": (best_of(*apply, out, "train", model, 1, 0, out), timed(*apply, "--help")),
    }
    centroids = joblib.load(model).cluster_centers_
    return seconds, np.load(out / "train_0_1.npy"), centroids


def num_sampled_frames(lengths: Path, percent: float) -> int:
    """On how many frames learn_kmeans.py fits; as many of ours are the same ones, with its seed."""
    num_frames = np.loadtxt(lengths, dtype=np.int64)
    num_chosen = int(np.ceil(len(num_frames) * percent))
    chosen = np.random.RandomState(0).choice(len(num_frames), num_chosen, replace=False)
    return int(num_frames[chosen].sum())


def run_ours(
    work: Path, num_workers: int, num_frames: int
) -> tuple[dict[str, tuple[float, float]], float, KMeans]:
    """Seconds of each stage, its start-up apart; of the whole as one command; the model."""
    start_up = timed(sys.executable, "-c", "import fairseq_budget.cli.labels.command")
    fit = Fit(work / "stages", Feature(), NUM_CLUSTERS, num_frames)
    with Workers(num_workers) as workers:
        if num_workers > 1:
            start_up += clocked(
                lambda: workers.run(wait, [0.5] * 4 * num_workers, tqdm(disable=True))
            )
            start_up -= 2.0  # four rounds of half a second, so that every worker is up
        extract_s = clocked(lambda: fit.extract(workers))
        read_s = clocked(lambda: fit.extract(workers))  # its parts; a run reads them but once
        fit_s = clocked(lambda: fit.run(workers)) - read_s
        apply_s = clocked(lambda: Apply(work / "stages", Feature(), ("train",)).run(workers))
    total_s = timed(
        *(Path(sys.executable).parent / "budget-labels", "make", "--data", work / "command"),
        *("--clusters", NUM_CLUSTERS, "--sample-frames", num_frames, "--workers", num_workers),
    )
    model = KMeans.load(model_path(work / "command", "km"))
    assert model.sha256 == KMeans.load(model_path(work / "stages", "km")).sha256
    seconds = {"MFCC": (extract_s, 0.0), "fit": (fit_s, 0.0), "apply": (apply_s, 0.0)}
    return {**seconds, "start-up": (start_up, start_up)}, total_s, model


def wait(seconds: float) -> int:
    time.sleep(seconds)
    return 1


def rows(
    stock: dict[str, tuple[float, float]], ours: dict[str, tuple[float, float]]
) -> list[dict[str, str]]:
    """One row for each stage without start-up, then the start-up, then both sums."""
    stages = {stage: (stock[stage][0] - stock[stage][1], ours[stage][0]) for stage in stock}
    stages["all stages"] = _sums(stages.values())
    stages["start-up"] = (sum(start for _, start in stock.values()), ours["start-up"][0])
    pairs = (stages["all stages"], stages["start-up"])
    stages["with start-up"] = _sums(pairs)
    return [
        {
            "stage": stage,
            "simple_kmeans (s)": f"{theirs_s:.1f}",
            "budget-labels (s)": f"{ours_s:.1f}",
            "times faster": f"{theirs_s / ours_s:.1f}",
        }
        for stage, (theirs_s, ours_s) in stages.items()
    ]


def _sums(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    theirs, ours = zip(*pairs, strict=True)
    return sum(theirs), sum(ours)


def clocked(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def best_of(*command: object) -> float:
    """The shorter wall time of one thread and of all; the second run ends where it is slower."""
    one_s = timed(*command, OMP_NUM_THREADS="1")
    try:
        return min(one_s, timed(*command, timeout_s=one_s))
    except subprocess.TimeoutExpired:
        timed(*command, OMP_NUM_THREADS="1")  # so that what it left half-written is whole again
        return one_s


def timed(*command: object, timeout_s: float | None = None, **environment: str) -> float:
    """Wall time of a command in seconds; its output is shown when it fails."""
    started = time.monotonic()
    words = [str(word) for word in command]
    env = {**os.environ, **environment}
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, env=env)
    if done.returncode:
        sys.exit(f"{json.dumps(words)}\n{done.stdout}\n{done.stderr}")
    return time.monotonic() - started


if __name__ == "__main__":
    main()
