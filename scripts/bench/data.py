"""Start-up, memory and resuming at scale: packed corpora beside the installed fairseq's classes.

    python scripts/bench/data.py --work /tmp/bench --utterances 200000 2000000 12000000

Corpora are synthetic: lines of 2 to 17 s all name one file, and have two labels per second, so that
12 million fit on a disk; what is measured depends on lines and not on audio. Every measurement is a
process of its own, without loader workers, from where torch and fairseq are imported to the first
batch; resuming goes to the middle of the second epoch. USS is what the process alone holds. fairseq
stands for HubertDataset, batch_by_size and EpochBatchIterator, as its HuBERT task sets them; it is
measured up to --stock utterances and extrapolated linearly above, which is marked with ~.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
from tqdm import tqdm

from fairseq_budget.console.table import markdown_table
from fairseq_budget.corpus.column_kinds import CENTROIDS_KEY
from fairseq_budget.corpus.labels import (
    LabelInfo,
    write_dictionary,
    write_info,
)
from fairseq_budget.corpus.packed import open_corpus
from fairseq_budget.corpus.packing import pack_split

LABEL_RATE, NUM_CLUSTERS = 2, 500
FILE_S = 20  # length of the one file
MAX_TOKENS = 1_400_000
CENTROIDS = "0" * 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder; corpora stay in it")
    parser.add_argument("--utterances", type=int, nargs="+", default=[200_000, 2_000_000])
    parser.add_argument("--stock", type=int, default=2_000_000, help="most that fairseq is given")
    parser.add_argument("--measure", choices=("packed", "stock"), help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        folder = args.work
        found = measure(packed if args.measure == "packed" else stock, folder, args.resume)
        print(json.dumps(found))
        return
    rows, last = [], {}
    for num_utterances in args.utterances:
        folder = args.work.absolute() / str(num_utterances)
        pack_s = make_corpus(folder, num_utterances)
        rows.append(row("packed", num_utterances, in_process("packed", folder), pack_s))
        if num_utterances <= args.stock:
            last = {"n": num_utterances, **in_process("stock", folder)}
            rows.append(row("fairseq", num_utterances, last))
        elif last:
            scale = num_utterances / last["n"]
            guess = {key: value * scale for key, value in last.items()}
            rows.append(row("fairseq, extrapolated", num_utterances, guess, mark="~"))
    print(markdown_table(rows))


def row(
    name: str,
    num_utterances: int,
    found: dict[str, float],
    pack_s: float | None = None,
    mark: str = "",
) -> dict[str, str]:
    return {
        "utterances": f"{num_utterances:,}",
        "classes": name,
        "first batch (s)": f"{mark}{found['first_s']:.2f}",
        "USS (MB)": f"{mark}{found['uss_mb']:.0f}",
        "resume (s)": f"{mark}{found['resume_s']:.2f}",
        "packing, once (s)": "-" if pack_s is None else f"{pack_s:.1f}",
    }


def in_process(kind: str, folder: Path) -> dict[str, float]:
    """Time to the first batch and USS of a fresh process, and the time of one that resumes."""
    command = [sys.executable, __file__, "--work", str(folder), "--measure", kind]
    first, resumed = (
        json.loads(subprocess.run([*command, *more], check=True, capture_output=True).stdout)
        for more in ([], ["--resume"])
    )
    return {"first_s": first["s"], "uss_mb": first["uss_mb"], "resume_s": resumed["s"]}


def measure(classes: Callable[..., Any], folder: Path, resume: bool) -> dict[str, float]:
    """Seconds to a batch, and USS in MB beyond a process that has imported torch and fairseq."""
    classes(None, False)  # imports
    gc.collect()
    before, started = psutil.Process().memory_full_info().uss, time.perf_counter()
    kept = classes(folder, resume)
    seconds = time.perf_counter() - started
    gc.collect()
    uss = psutil.Process().memory_full_info().uss - before
    assert len(kept[-1]["id"])
    return {"s": seconds, "uss_mb": uss / 1e6}


def packed(folder: Path | None, resume: bool) -> Any:
    from fairseq_budget.corpus.labels import open_labels
    from fairseq_budget.data.audio_dataset import BudgetAudioDataset
    from fairseq_budget.data.batches import Limits
    from fairseq_budget.data.epoch_iterator import EpochBatches
    from fairseq_budget.nn.masking import Masking

    if folder is None:
        return None
    corpus = open_corpus(folder, "train")
    corpus.check_files()
    dataset = BudgetAudioDataset(
        corpus, seed=1, max_sample_size=250_000, min_sample_size=32_000,
        masking=Masking(0.8, 10), labels=[open_labels(folder, "train", corpus=corpus)],
    )  # fmt: skip
    batches = EpochBatches(dataset, dataset.batches(Limits(MAX_TOKENS)))
    if resume:
        half = len(batches) // 2
        batches.load_state_dict({"epoch": 2, "position": half, "iterations_in_epoch": half})
    return batches, next(batches.next_epoch_itr())


def stock(folder: Path | None, resume: bool) -> Any:
    from fairseq.data import Dictionary, HubertDataset, data_utils, iterators
    from fairseq.tasks.hubert_pretraining import LabelEncoder

    if folder is None:
        return None
    dictionary = Dictionary.load(str(folder / "dict.km.txt"))
    dataset = HubertDataset(
        str(folder / "train.tsv"), sample_rate=16000, label_paths=[str(folder / "train.km")],
        label_rates=float(LABEL_RATE), pad_list=[dictionary.pad()], eos_list=[dictionary.eos()],
        label_processors=[LabelEncoder(dictionary)], max_keep_sample_size=None,
        min_keep_sample_size=32_000, max_sample_size=250_000, pad_audio=False, normalize=False,
        store_labels=False, single_target=True,
    )  # fmt: skip
    with data_utils.numpy_seed(2):
        order = dataset.ordered_indices()
    batches = iterators.EpochBatchIterator(
        dataset, dataset.collater, dataset.batch_by_size(order, max_tokens=MAX_TOKENS), seed=1
    )
    if resume:
        half = len(batches) // 2
        batches.load_state_dict({"version": 2, "epoch": 2, "iterations_in_epoch": half})
    return batches, next(batches.next_epoch_itr())


def make_corpus(folder: Path, num_utterances: int) -> float:
    """Write a manifest, labels and the pack, once; seconds that packing took."""
    done = folder / "packed_s"
    if done.is_file():
        return float(done.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    soundfile.write(folder / "a.wav", generator.uniform(-0.5, 0.5, FILE_S * 16000), 16000)
    num_labels = (LABEL_RATE * (2 + 15 * generator.beta(4, 2, num_utterances))).astype(int)
    digest = hashlib.sha256()
    with (folder / "train.tsv").open("w") as file:
        file.write(f"{folder}\n")
        for count in tqdm(num_labels.tolist(), desc="manifest", disable=None):
            line = f"a.wav\t{count * 16000 // LABEL_RATE}\n"
            digest.update(line.encode())
            file.write(line)
    with (folder / "train.km").open("w") as file:
        for count in tqdm(num_labels.tolist(), desc="labels", disable=None):
            file.write(" ".join(map(str, generator.integers(0, NUM_CLUSTERS, count))) + "\n")
    describe_labels(folder, num_utterances, digest.hexdigest())
    started = time.perf_counter()
    pack_split(folder / "train.tsv")
    seconds = time.perf_counter() - started
    done.write_text(str(seconds))
    return seconds


def describe_labels(folder: Path, num_utterances: int, manifest_hash: str) -> None:
    write_dictionary(folder, NUM_CLUSTERS)
    write_info(folder, LabelInfo(LABEL_RATE, NUM_CLUSTERS, {"kind": "synthetic"}, CENTROIDS))
    description = {"name": "km", "rate": LABEL_RATE, "manifest": manifest_hash,
                   "num_lines": num_utterances, CENTROIDS_KEY: CENTROIDS}  # fmt: skip
    (folder / "train.km.json").write_text(json.dumps(description))


if __name__ == "__main__":
    main()
