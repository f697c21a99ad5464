"""``budget-report run``: one pre-training run as a page."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.console.table import markdown_table
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.pretrained import read_pretrained
from fairseq_budget.report.pages import scores_section, write_page
from fairseq_budget.report.reconstruction import reconstruct
from fairseq_budget.report.training_log import read_training_log


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="one pre-training run: losses, a reconstruction, downstream scores",
        description="Write OUT/report.md, OUT/loss.png and OUT/reconstruction.png.",
    )
    parser.add_argument("--log", type=Path, required=True, help="fairseq's common.log_file")
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="exported folder or checkpoint"
    )
    parser.add_argument(
        "--manifest", type=Path, required=True, help="speech to reconstruct, a .tsv"
    )
    parser.add_argument("--utterance", type=int, default=0, help="its line (default: the first)")
    parser.add_argument(
        "--scores", type=Path, nargs="*", default=[], metavar="JSON",
        help="results.json of `budget-downstream compare`, any number",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from fairseq_budget.report.plots import plot_loss, plot_reconstruction  # asks for matplotlib

    log = read_training_log(args.log)
    checkpoint = read_pretrained(args.checkpoint)
    wave = read_text(args.manifest).read(args.utterance)
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
        *(scores_section(path) for path in args.scores),
    ]
    write_page(args.out / "report.md", parts)
    print(f"{args.out / 'report.md'}")
    return 0
