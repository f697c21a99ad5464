"""What works on this machine's GPU, how close to the CPU, and how fast: one command, ten minutes.

    python scripts/gpu_card.py --out card.json

Nothing is downloaded, all audio is made on the spot. The checks (gpu_checks/)
run one after the other in a process of their own. One that fails keeps its traceback in the json,
one that hangs, dies or leaves the GPU unusable costs that process only: the next check gets a new
one. What needs a package that is not there says so, and what the time does not allow is listed as
not reached. The json is written after every check. Ends with 1 if any check failed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import multiprocessing
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a bare checkout will do: machines with GPUs often install nothing

import torch  # noqa: E402
from gpu_checks import CHECKS, Options, Skipped  # noqa: E402

from fairseq_budget.budget.timing import machine_name, precisions  # noqa: E402
from fairseq_budget.console.table import cell, markdown_table  # noqa: E402
from fairseq_budget.files import atomic_write  # noqa: E402

BAD = ("failed", "timed out", "died")
START_S = 60.0  # for the process of a check to import torch and find the GPU
Result = dict[str, Any]


def main() -> int:
    args = _parser().parse_args()
    device = "cpu" if args.cpu else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        print("gpu_card.py: error: no GPU here; its small form for a CPU is --cpu --small")
        return 2
    names = [name for name in CHECKS if not args.only or any(o in name for o in args.only)]
    if not names:
        print(f"gpu_card.py: error: --only {args.only}: expected parts of {', '.join(CHECKS)}")
        return 2
    card: dict[str, Any] = {"machine": _machine(device), "checks": {}}
    with tempfile.TemporaryDirectory(prefix="gpu_card.") as folder:
        options = Options(device, args.small, args.precision or precisions(device), Path(folder))
        run(names, options, 60 * args.minutes, card, args.out)
    print(report(card))
    return int(any(result["status"] in BAD for result in card["checks"].values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="for all checks (default: 10)")
    parser.add_argument("--out", type=Path, default=Path("gpu_card.json"))
    parser.add_argument("--only", nargs="+", metavar="PART", help="checks with these in their name")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "fp16", "bf16"))
    parser.add_argument("--small", action="store_true", help="tiny sizes, short audio")
    parser.add_argument("--cpu", action="store_true", help="the CPU in the GPU's place")
    return parser


def _machine(device: str) -> dict[str, Any]:
    return {
        "device": machine_name(device),
        "gpus": torch.cuda.device_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def run(
    names: list[str], options: Options, seconds: float, card: dict[str, Any], out: Path
) -> None:
    """Fill ``card["checks"]``, and write it to `out` after each of them."""
    end, worker = time.monotonic() + seconds, None
    card["checks"].update({name: {"status": "not reached", "rows": []} for name in names})
    _write(card, out)
    for name in names:
        if end < time.monotonic():
            break
        worker = worker or Worker(options)
        result = card["checks"][name] = worker.ask(name, CHECKS[name].limit_s, end)
        print(f"{result['seconds']:6.1f} s  {result['status']:10}  {name}", file=sys.stderr)
        _write(card, out)
        if not worker.is_usable:
            worker.end()
            worker = None
    if worker is not None:
        worker.end()


def _write(card: dict[str, Any], out: Path) -> None:
    with atomic_write(out) as file:
        json.dump(card, file, indent=1, default=str)


class Worker:
    """A process that runs checks, one when asked for."""

    def __init__(self, options: Options) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_answer, args=(theirs, options))
        self._process.start()
        theirs.close()
        self._start_s = START_S  # added to the first check's limit
        self.is_usable = True

    def ask(self, name: str, limit_s: float, end: float) -> Result:
        """The result of a check that may take `limit_s`, and no longer than until `end`."""
        started = time.monotonic()
        own_end = started + limit_s + self._start_s
        status = "timed out" if own_end < end else "not reached"  # its end, at least
        end = min(end, own_end)
        result: Result = {"status": status, "rows": [], "is_usable": False}
        try:
            self._pipe.send(name)
            while self._pipe.poll(max(0.0, end - time.monotonic())):
                kind, found = self._pipe.recv()
                self._start_s = 0.0
                if kind == "end":
                    result |= found
                    break
                result["rows"].append(found)
        except (EOFError, OSError):
            self._process.join(10)
            error = f"its process ended with {self._process.exitcode}"
            result |= {"status": "died", "error": error}
        self.is_usable = result.pop("is_usable")
        return {**result, "seconds": time.monotonic() - started}

    def end(self) -> None:
        """Let it leave if it still answers; kill it and all that it has started."""
        self._pipe.close()
        self._process.join(10 if self.is_usable else 0)
        with contextlib.suppress(ProcessLookupError):  # the group is gone
            os.killpg(self._process.pid or 0, signal.SIGKILL)
        self._process.kill()  # if it has not come so far as to lead a group
        self._process.join()


def _answer(pipe: Connection, options: Options) -> None:
    os.setsid()  # a group to be killed with
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    while True:
        try:
            name = pipe.recv()
        except EOFError:
            return
        pipe.send(("end", _attempt(name, options, pipe)))


def _attempt(name: str, options: Options, pipe: Connection) -> Result:
    """Run a check and send its rows; those before a failure are kept, and so is the traceback."""
    result: Result = {"status": "ok"}
    try:
        torch.manual_seed(0)
        for row in CHECKS[name].run(options):
            pipe.send(("row", row))
            if not row.get("ok", True):
                result["status"] = "failed"
    except Skipped as reason:
        result = {"status": "skipped", "error": str(reason)}
    except (Exception, SystemExit) as error:
        result = {"status": _kind_of(error), "error": traceback.format_exc()}
    return {**result, "is_usable": _gpu_answers(options.device)}


def _kind_of(error: BaseException) -> str:
    package = str(getattr(error, "name", None)).split(".")[0]
    if isinstance(error, ModuleNotFoundError) and package != "fairseq_budget":
        return f"needs {package}"
    return "failed"


def _gpu_answers(device: str) -> bool:
    """After an assertion on the GPU every further call fails, in this process."""
    try:
        if device != "cpu":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
    except RuntimeError:
        return False
    return True


def report(card: dict[str, Any]) -> str:
    """The card as Markdown: how each check ended, then rows of equal columns in one table."""
    checks = card["checks"]
    summary = [
        {"check": name, "": result["status"], "seconds": f"{result.get('seconds', 0):.1f}",
         "why": str(result.get("error", "")).strip().rpartition("\n")[2][:100]}
        for name, result in checks.items()
    ]  # fmt: skip
    rows = [
        {"check": name} | {key: _cell(value) for key, value in row.items()}
        for name, result in checks.items()
        for row in result["rows"]
    ]
    tables = [list(t) for _, t in itertools.groupby(sorted(rows, key=list), key=list)]
    machine = ", ".join(f"{key} {value}" for key, value in card["machine"].items())
    return "\n\n".join([machine, *map(markdown_table, [summary, *tables])])


def _cell(value: Any) -> str:
    return {True: "yes", False: "NO"}[value] if isinstance(value, bool) else cell(value)


if __name__ == "__main__":
    sys.exit(main())
