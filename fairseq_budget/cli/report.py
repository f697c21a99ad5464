"""budget-report: tables and figures of finished runs."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from fairseq_budget.cli import user_errors
from fairseq_budget.cli._boundary_report import add_boundaries
from fairseq_budget.cli._evaluate import add_evaluate
from fairseq_budget.corpus import Corpus
from fairseq_budget.curve import Run, accuracy_curve, loss_row, read_run
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.pretrained import read_pretrained
from fairseq_budget.reconstruct import reconstruct
from fairseq_budget.table import aligned, cell, markdown_table
from fairseq_budget.training_log import read_training_log


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-report", description="Markdown reports with figures, from finished runs."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="one pre-training run: losses, a reconstruction, downstream scores",
        description="Write OUT/report.md, OUT/loss.png and OUT/reconstruction.png.",
    )
    run.add_argument("--log", type=Path, required=True, help="fairseq's common.log_file")
    run.add_argument("--checkpoint", type=Path, required=True, help="exported folder or checkpoint")
    run.add_argument("--manifest", type=Path, required=True, help="speech to reconstruct, a .tsv")
    run.add_argument("--utterance", type=int, default=0, help="its line (default: the first)")
    run.add_argument(
        "--scores", type=Path, nargs="*", default=[], metavar="JSON",
        help="results.json of `budget-downstream compare`, any number",
    )  # fmt: skip
    run.add_argument("--out", type=Path, required=True, help="folder to write")
    run.set_defaults(run=_run)
    scores = commands.add_parser(
        "scores", help="one table of several comparisons, with the command of every number"
    )
    scores.add_argument("results", type=Path, nargs="+", metavar="JSON", help="results.json files")
    scores.add_argument("--out", type=Path, required=True, metavar="MD", help="page to write")
    scores.set_defaults(run=_scores_page)
    losses = commands.add_parser(
        "losses", help="last validation loss and accuracy of several runs beside their chance level"
    )
    losses.add_argument("--runs", type=Path, nargs="+", required=True, metavar="DIR")
    losses.add_argument("--png", type=Path, help="draw accuracy against FLOPs spent into this file")
    losses.set_defaults(run=_losses)
    curve = commands.add_parser(
        "curve",
        help="loss and scores of several runs against their size: the U-curve",
        description="Write OUT/curve.md, OUT/curve.csv and OUT/curve.png from finished runs; a run "
        "is a folder with train.log, checkpoint_last.pt and, anywhere below, the results.json "
        "of `budget-downstream compare`, whose first upstream counts.",
    )
    curve.add_argument(
        "--runs", type=Path, nargs="+", required=True, metavar="DIR",
        help="one folder per run; what holds no train.log is passed over",
    )  # fmt: skip
    curve.add_argument("--out", type=Path, required=True, help="folder to write")
    curve.set_defaults(run=_curve)
    add_boundaries(commands)
    add_evaluate(commands)
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return int(args.run(args))


def _run(args: argparse.Namespace) -> int:
    from fairseq_budget.plots import plot_loss, plot_reconstruction  # asks for matplotlib

    log = read_training_log(args.log)
    checkpoint = read_pretrained(args.checkpoint)
    wave = Corpus.open(args.manifest).read(args.utterance)
    result = reconstruct(checkpoint, wave)
    plot_loss(log, args.out / "loss.png")
    plot_reconstruction(result, args.out / "reconstruction.png")
    last = log.train[-1]
    facts = {
        "model": f"{checkpoint.model}, {checkpoint.encoder.size}",
        "updates": f"{checkpoint.provenance.get('num_updates', 0):,}",
        "audio heard": f"{last.get('audio_hours', 0):.2f} h",
        "training loss": f"{last['loss']:.3f}",
        "validation loss": f"{log.valid[-1]['loss']:.3f}" if log.valid else "-",
        "error on one utterance": f"{result.error():.3f} (constant: {result.trivial_error():.3f})",
        "wall clock": f"{last.get('wall', 0) / 60:.1f} min",
    }
    parts = [
        "# Pre-training report",
        markdown_table([{"": key, "value": value} for key, value in facts.items()]),
        "![loss](loss.png)",
        "![a true and a reconstructed target](reconstruction.png)",
        *(_scores_section(path) for path in args.scores),
    ]
    with atomic_write(args.out / "report.md") as file:
        file.write("\n\n".join(parts) + "\n")
    print(f"{args.out / 'report.md'}")
    return 0


def _scores_section(path: Path) -> str:
    content = _read_scores(path)
    return (
        f"## Downstream: {content['task']}, {content['num_classes']} classes, "
        f"{content['num_utterances']['test']} test utterances\n\n"
        f"{markdown_table(content['table'])}\n\n"
        f"Frozen upstreams; spread over {len({run['seed'] for run in content['runs']})} seeds. "
        f"Every run with its command: `{path}`."
    )


def _scores_page(args: argparse.Namespace) -> int:
    contents = {path.parent.name: _read_scores(path) for path in args.results}
    rows = [
        {"test": name, **{row["upstream"]: row["test accuracy (%)"] for row in content["table"]}}
        for name, content in contents.items()
    ]
    parts = ["# Downstream results", markdown_table(rows)]
    for name, content in contents.items():
        counts = ", ".join(f"{n} {split}" for split, n in content["num_utterances"].items())
        here = f"{Path.cwd()}/"  # commands are typed from the folder in which the page is made
        commands = [
            f"# {run['upstream']} {100 * run['test']:.1f}\n"
            + run["key"]["command"].replace(here, "")
            for run in content["runs"]
        ]
        parts += [
            f"## {name}",
            f"Task {content['task']}, {content['num_classes']} classes; utterances: {counts}.",
            "```bash\n" + "\n".join(commands) + "\n```",
        ]
    with atomic_write(args.out) as file:
        file.write("\n\n".join(parts) + "\n")
    print(markdown_table(rows))
    return 0


def _curve(args: argparse.Namespace) -> int:
    from fairseq_budget.plots import plot_curve  # asks for matplotlib

    folders = [folder for folder in args.runs if (folder / "train.log").is_file()]
    if not folders:
        raise BudgetError(
            f"there is no run in {' '.join(map(str, args.runs))}: expected folders with a "
            "train.log (common.log_file) and a checkpoint_last.pt"
        )
    runs = sorted(map(read_run, folders), key=lambda run: (run.objective, run.parameters))
    finished = [run for run in runs if run.is_finished]
    if not finished:
        made = ", ".join(f"{run.name} {run.updates:,} of {run.max_update:,}" for run in runs)
        raise BudgetError(f"none of the {len(runs)} runs is finished (updates: {made}); go on")
    plot_curve(finished, args.out / "curve.png")
    rows = aligned([run.row() for run in finished])
    with atomic_write(args.out / "curve.csv") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    shown = markdown_table([{key: cell(value) for key, value in row.items()} for row in rows])
    parts = ["# Loss against size", shown, "![loss and scores against size](curve.png)"]
    parts += _other_budgets(finished)
    parts += [
        f"Not finished, left out: {run.name} ({run.updates:,} of {run.max_update:,} updates)."
        for run in runs
        if not run.is_finished
    ]
    with atomic_write(args.out / "curve.md") as file:
        file.write("\n\n".join(parts) + "\n")
    print("\n\n".join([shown, *parts[3:]]))
    return 0


def _other_budgets(runs: list[Run]) -> list[str]:
    """A remark if the runs did not cost the same: then they make no U-curve."""
    flops = [run.flops for run in runs if run.flops]
    if not flops or max(flops) < 1.1 * min(flops):
        return []
    return [f"These runs spent from {min(flops):.3g} to {max(flops):.3g} FLOPs: not one budget."]


def _losses(args: argparse.Namespace) -> int:
    rows = [loss_row(folder) for folder in args.runs]
    if args.png:
        from fairseq_budget.plots import plot_accuracies  # asks for matplotlib

        plot_accuracies({folder.name: accuracy_curve(folder) for folder in args.runs}, args.png)
    print(markdown_table([{key: cell(value) for key, value in row.items()} for row in rows]))
    return 0


def _read_scores(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = {"task", "num_classes", "num_utterances", "table", "runs"} - content.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise BudgetError(f"cannot read downstream scores from {path}: {error}") from error
    if missing:
        raise BudgetError(
            f"{path} holds no downstream scores (no {', '.join(sorted(missing))}): expected the "
            "results.json of `budget-downstream compare`"
        )
    return content
