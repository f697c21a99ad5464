"""Where the best learning rate of a preset lies at several widths of one encoder.

    python scripts/bench/learning_rates.py --data demo/data --work results/learning_rates

Each cell is a run of `budget_tera_demo` in a process of its own, resumed where it was stopped, and
prints its loss at the end, as validated. Sizes are members of a family (`tiny:0.25`), or named.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from fairseq_budget.budget.families import find_encoder, model_overrides
from fairseq_budget.console.table import markdown_table
from fairseq_budget.report.curve import LOG, OBJECTIVE_LOSSES
from fairseq_budget.report.training_log import read_training_log

WARMUP_SHARE = 0.1  # as the demo presets'


def main() -> None:
    """Train what is not trained yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--preset", default="budget_tera_demo")
    parser.add_argument("--sizes", nargs="+", default=["tiny:0.25", "tiny", "tiny:4"])
    parser.add_argument(
        "--lrs", nargs="+", default=["0.0005", "0.001", "0.002", "0.004", "0.008", "0.016"]
    )
    parser.add_argument("--updates", type=int, default=250)
    parser.add_argument("--max-tokens", type=int, default=128000, help="samples in an update")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rows = []
    for size in args.sizes:
        losses = {lr: final_loss(size, lr, args) for lr in args.lrs}
        best = min(losses, key=losses.__getitem__)
        width = find_encoder(size).resolved().encoder_embed_dim
        cells = {f"lr {lr}": f"{loss:.4f}" for lr, loss in losses.items()}
        rows.append({"size": size, "width": str(width), **cells, "best": best})
    print(markdown_table(rows))


def final_loss(size: str, lr: str, args: argparse.Namespace) -> float:
    """The objective's validation loss at the end of a run, in nats (of TERA: its mean error)."""
    folder = args.work / f"{size.replace(':', '-')}_{lr}"
    if not (folder / "finished").exists():
        subprocess.run(train_command(size, lr, folder, args), check=True, stdout=subprocess.DEVNULL)
        (folder / "finished").touch()
    last = read_training_log(folder / LOG).valid[-1]
    return next(last[key] for key in OBJECTIVE_LOSSES if key in last)


def train_command(size: str, lr: str, folder: Path, args: argparse.Namespace) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        **model_overrides(find_encoder(size)),
        "+task.user_dir": "fairseq_budget",
        "task.data": args.data.absolute(),
        "dataset.max_tokens": args.max_tokens,
        "optimization.max_update": args.updates,
        "optimization.lr": f"[{lr}]",
        "lr_scheduler.warmup_updates": round(WARMUP_SHARE * args.updates),
        "common.seed": args.seed,
        "common.log_format": "json",
        "common.log_file": folder / LOG,
        "checkpoint.save_dir": folder,
    }
    examples = Path(__file__).parents[2] / "examples"
    program = os.fspath(Path(sys.executable).parent / "fairseq-hydra-train")
    preset = ["--config-dir", os.fspath(examples), "--config-name", args.preset]
    return [program, *preset, *(f"{name}={value}" for name, value in settings.items())]


if __name__ == "__main__":
    main()
