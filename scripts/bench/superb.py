"""A sweep of learning rates with the hidden states computed always, once a run, and once for all.

    python scripts/bench/superb.py --data data/pr --checkpoint exported/ --out bench

The same runs three times, in turn; the ratio is of their wall times, and the scores are shown
beside each other.
"""

from __future__ import annotations

import argparse
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from fairseq_budget.console.table import column, table
from fairseq_budget.downstream.layout import read_layout
from fairseq_budget.downstream.runs import Protocol, Upstream, run_all
from fairseq_budget.downstream.sweep import Sweep, parse_rates


@dataclass(frozen=True)
class Row:
    """A way to come by hidden states."""

    states: str = column("hidden states are computed")
    seconds: float = column(digits=0)
    speed: float = column("times as fast", digits=2)
    scores: str = column("test scores (%)")


def main() -> None:
    """Run the sweep in three ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a layout")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--lrs", default="1e-1:1e-5")
    parser.add_argument("--updates", type=int)
    args = parser.parse_args()
    layout, upstream = read_layout(args.data), Upstream("encoder", args.checkpoint)
    ways = {
        "in each epoch": Protocol(cache_gib=0.0),
        "once in each run": Protocol(cache_gib=8.0),
        "once": Protocol(cache_gib=8.0, cache_folder=args.out / "states"),
    }
    rows: list[Row] = []
    for number, (name, protocol) in enumerate(ways.items()):
        folder = args.out / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        rates = parse_rates(args.lrs)
        sweep = Sweep([layout], [[upstream]], rates, 1, folder, args.updates, protocol)
        start = time.monotonic()
        results = run_all(sweep.runs(), 1)
        seconds = time.monotonic() - start
        scores = ", ".join(f"{100 * result.test:.1f}" for result in results)
        rows.append(Row(name, seconds, (rows[0].seconds if rows else seconds) / seconds, scores))
    print(table(rows))


if __name__ == "__main__":
    main()
