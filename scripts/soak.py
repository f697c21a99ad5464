"""Kills of runs at random moments, inside saves too, and what they have lost by them.

    python scripts/soak.py --work soak --kills 50 --out docs/soak.md

Of each kind of run one is left alone; another one, with the same command, is sent SIGKILL again and
again: at a random moment of its start in one session of five, else up to two seconds after it has
gone on, while it saves after every update. Once it has been killed so often it may end, and its
weights, optimizer, counts and place in the data are compared with those of the first, bit for bit.
Then a run of 2,000 updates is watched: its memory and its open files are to stay as they are.
What is finished is kept in the work folder: the same command goes on with the rest.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from fairseq_budget.console.table import column, table
from fairseq_budget.files import atomic_write

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
START_S, TRAINING_S = 8.0, 2.0  # the longest waits before a kill
NUM_WATCHED = 2000  # updates

PAGE = """# Soak

What `make soak` has found: kills at random moments, and memory over 2,000 updates; [trust](trust.md) says what is compared.

`python {command}`

{tables}

`cif` is TERA shortened by CIF, `zipformer` HuBERT on k2SSL's encoder, `ctc` a recogniser fine-tuned on TERA; `two_processes` were killed together.
MiB are those that a run and its loader have to themselves.
"""  # noqa: E501

CROPS = (
    "task.max_sample_size=16000",
    "task.min_sample_size=8000",
    "dataset.max_tokens=48000",
)
SAVES = ("dataset.disable_validation=true", "checkpoint.save_interval_updates=1")


@dataclass(frozen=True)
class Kind:
    """A kind of run: a preset and its overrides, on one process or two."""

    preset: str
    overrides: Sequence[str] = CROPS
    num_processes: int = 1


KINDS = {
    "tera": Kind("budget_tera_demo"),
    "hubert": Kind("budget_hubert_demo", (*CROPS, "dataset.num_workers=0")),
    "wav2vec2": Kind("budget_wav2vec2_demo", (*CROPS, "dataset.num_workers=2")),
    "zipformer": Kind("budget_hubert_zipformer_demo"),
    "cif": Kind("budget_tera_demo", (*CROPS, "model.subsample=cif", "dataset.num_workers=2")),
    "ctc": Kind(
        "budget_ctc_demo",
        ("model.pretrained={work}/tera/alone/checkpoint_last.pt", "dataset.max_tokens=160000"),
    ),
    "two_processes": Kind("budget_tera_demo", num_processes=2),
}


@dataclass(frozen=True)
class Soaked:
    """One kind of run, and whether its kills have changed what came of it."""

    kind: str = column("run")
    num_kills: int = column("kills")
    num_in_start: int = column("before it went on")
    num_in_saves: int = column("inside a save")
    num_updates: int = column("updates")
    is_equal: bool = column("equal to the run that was left alone")


@dataclass(frozen=True)
class Watched:
    """Memory and open files of a run and its loader, in its second quarter and its last."""

    kind: str = column("run")
    num_updates: int = column("updates")
    early_mib: float = column("MiB, second quarter", digits=0)
    late_mib: float = column("MiB, last quarter", digits=0)
    early_files: float = column("open files, second quarter", digits=0)
    late_files: float = column("open files, last quarter", digits=0)


def main() -> None:
    """Make the corpus, the runs and the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of corpus and runs")
    parser.add_argument("--kills", type=int, default=50, help="of each kind (default: 50)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--out", type=Path, help="Markdown file of the tables")
    args = parser.parse_args()
    soak = Soak(args.work.resolve(), args.seed)
    soaked = [soak.once(Soaked, name, lambda n: soak.kills(n, args.kills)) for name in args.kinds]
    watched = [soak.once(Watched, "tera", soak.watch)]
    print(shown := f"{table(soaked)}\n\n{table(watched)}")
    if args.out:
        with atomic_write(args.out) as file:
            file.write(PAGE.format(command=" ".join(sys.argv), tables=shown))
    if not all(row.is_equal for row in soaked):
        sys.exit("a run that was killed is not the run that was left alone")


@dataclass
class Soak:
    """A folder of a corpus and its runs."""

    work: Path
    seed: int
    data: Path = field(init=False)

    def __post_init__(self) -> None:
        self.data = self.work / "manifests"
        if not (self.data / "dict.ltr.txt").exists():
            self._make_data()

    def _make_data(self) -> None:
        """The demo corpus with labels of 20 clusters and transcripts."""
        corpus = self.work / "corpus"
        for command in (
            ["budget-corpus", corpus],
            ["budget-manifest", "--trainpref", corpus / "train", "--validpref", corpus / "valid",
             "--destdir", self.data],
            ["budget-labels", "make", "--data", self.data, "--clusters", 20],
            ["budget-asr", "prepare", "--data", self.data,
             "--transcripts", corpus / "utterances.tsv"],
        ):  # fmt: skip
            subprocess.run([BIN / str(command[0]), *map(str, command[1:])], check=True)

    def once(self, row: type[Any], name: str, make: Callable[[str], Any]) -> Any:
        """The row of an earlier call, or the one that `make` makes now."""
        file = self.work / name / f"{row.__name__.lower()}.json"
        with suppress(OSError):
            return row(**json.loads(file.read_text()))
        made = make(name)
        file.write_text(json.dumps(asdict(made)))
        return made

    def kills(self, name: str, num_kills: int) -> Soaked:
        """Kill a run so often, and compare it with one that is left alone."""
        killed, alone = (self.work / name / run for run in ("killed", "alone"))
        for folder in (killed, alone):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        num_updates = 12 * num_kills + 20
        moments = random.Random(f"{self.seed} {name}")
        counts = {"start": 0, "save": 0, "all": 0}
        for _ in tqdm(range(num_kills), desc=f"{name}: kills"):
            in_start = moments.random() < 0.2
            if not self._kill(name, killed, num_updates, moments, in_start):
                break  # it had ended before
            counts["all"] += 1
            counts["start"] += in_start
            counts["save"] += any(killed.glob(".checkpoint*.pt.*"))
        for folder in (killed, alone):
            if any([process.wait() for process in self.start(name, folder, num_updates)]):
                sys.exit(f"{name}: a run has failed; see {folder}.log")
        states = [torch.load(f / "checkpoint_last.pt", weights_only=True) for f in (killed, alone)]
        return Soaked(
            name,
            counts["all"],
            counts["start"],
            counts["save"],
            states[0]["optimizer_history"][-1]["num_updates"],
            _are_equal(*states),
        )

    def _kill(
        self, name: str, folder: Path, num_updates: int, moments: random.Random, in_start: bool
    ) -> bool:
        """Start a session and kill it at a random moment; False if it had ended by itself."""
        last = folder / "checkpoint_last.pt"
        before = last.stat().st_mtime_ns if last.exists() else 0
        processes = self.start(name, folder, num_updates)
        if in_start:
            time.sleep(moments.uniform(0, START_S))
        else:
            while all(process.poll() is None for process in processes):
                if last.exists() and last.stat().st_mtime_ns != before:
                    break
                time.sleep(0.005)
            time.sleep(moments.uniform(0, TRAINING_S))
        for process in processes:
            process.kill()
        codes = [process.wait() for process in processes]
        return codes[0] == -signal.SIGKILL

    def start(
        self, name: str, folder: Path, num_updates: int, saves: Sequence[str] = SAVES
    ) -> list[subprocess.Popen[bytes]]:
        """The processes of a run, whose output goes to a file beside its folder."""
        kind = KINDS[name]
        command = [
            *(str(BIN / "fairseq-hydra-train"), "--config-dir", "examples/"),
            *("--config-name", kind.preset, "+task.user_dir=fairseq_budget"),
            *(f"task.data={self.data}", f"checkpoint.save_dir={folder}"),
            *(f"optimization.max_update={num_updates}", *saves),
            *(override.format(work=self.work) for override in kind.overrides),
        ]
        with folder.with_name(f"{folder.name}.log").open("ab") as log:
            return [
                subprocess.Popen([*command, *words], cwd=ROOT, stdout=log, stderr=log)
                for words in _places(kind.num_processes)
            ]

    def watch(self, name: str) -> Watched:
        """Look at a run's memory and open files while it makes its updates."""
        folder = self.work / name / "watched"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        saves = ("checkpoint.save_interval_updates=100",)
        (process,) = self.start(name, folder, NUM_WATCHED, saves)
        seen = []
        print(f"{name}: watching {NUM_WATCHED:,} updates", file=sys.stderr)
        while process.poll() is None:
            with suppress(OSError):  # it ends while it is looked at
                seen.append(_usage(process.pid))
            time.sleep(0.5)
        if process.returncode:
            sys.exit(f"{name}: a run has failed; see {folder}.log")
        quarter = len(seen) // 4
        early, late = seen[quarter : 2 * quarter], seen[3 * quarter : -2]
        (early_mib, early_files), (late_mib, late_files) = (
            tuple(statistics.median(values) for values in zip(*part, strict=True))
            for part in (early, late)
        )
        return Watched(name, NUM_WATCHED, early_mib, late_mib, early_files, late_files)


def _places(num_processes: int) -> list[list[str]]:
    """What tells each process of a run on the CPU which one it is."""
    if num_processes == 1:
        return [[]]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    shared = [
        "common.cpu=true", f"distributed_training.distributed_world_size={num_processes}",
        "distributed_training.distributed_no_spawn=true", "distributed_training.device_id=0",
        f"distributed_training.distributed_init_method=tcp://localhost:{port}",
        "distributed_training.distributed_backend=gloo",
    ]  # fmt: skip
    ranks = range(num_processes)
    return [[*shared, f"distributed_training.distributed_rank={rank}"] for rank in ranks]


def _usage(pid: int) -> tuple[float, int]:
    """MiB of a process and its children, what they share counted once, and their open files.

    Of files that are mapped, such as libraries, nothing: others map them, too.
    """
    proc = Path("/proc", str(pid))
    sizes = re.findall(
        r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", (proc / "smaps_rollup").read_text(), re.M
    )
    mib, files = sum(map(int, sizes)) / 1024, len(list((proc / "fd").iterdir()))
    children = (proc / "task" / str(pid) / "children").read_text().split()
    parts = [_usage(int(child)) for child in children]
    return mib + sum(part[0] for part in parts), files + sum(part[1] for part in parts)


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
