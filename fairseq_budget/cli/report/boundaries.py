"""``budget-report boundaries``: where a student fires, beside the true boundaries."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairseq_budget import frames
from fairseq_budget.cli import Commands
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.report.arguments import require_utterance
from fairseq_budget.console.table import escaped, markdown_table
from fairseq_budget.segmentation.agreement import TOLERANCE_S, BoundaryScore

with imported_later():
    from fairseq_budget.corpus.corpus import Corpus
    from fairseq_budget.corpus.plain import read_text
    from fairseq_budget.nn.encoder import SpeechEncoder
    from fairseq_budget.pretrained import load_pretrained
    from fairseq_budget.report.boundaries import fire
    from fairseq_budget.report.pages import write_page
    from fairseq_budget.segmentation.fired import score_split, true_boundaries
    from fairseq_budget.segmentation.intervals import table_spans
    from fairseq_budget.text.alignments import SpansOf


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "boundaries",
        help="the boundaries that a CIF student fires at, scored against true ones, and a figure",
        description="Print precision, recall, F1 and R-value within 20 ms; with --out, write "
        "OUT/boundaries.md and OUT/boundaries.png.",
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="exported folder or .pt")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of manifests"
    )
    parser.add_argument("--split", default="valid", help="(default: valid)")
    parser.add_argument(
        "--phones", type=Path, required=True, metavar="TSV",
        help="the true ones: utterance_id start_s end_s phone, with header",
    )  # fmt: skip
    parser.add_argument(
        "--utterance", type=int, default=0, help="line of the figure's (default: the first, 0)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write")
    parser.set_defaults(run=_boundaries)


def _boundaries(args: argparse.Namespace) -> int:
    encoder, spans_of = load_pretrained(args.checkpoint), table_spans(args.phones)
    corpus = read_text(args.data.absolute() / f"{args.split}.tsv")
    require_utterance(corpus, args.utterance)
    hours = frames.hours(float(corpus.sizes.sum()))
    scores = score_split(encoder, corpus, spans_of)
    table = markdown_table([_row(name, score, hours) for name, score in scores.items()])
    print(table)
    if args.out:
        _draw(args, encoder, corpus, spans_of)
        parts = [
            f"# Boundaries of {escaped(args.split)}",
            table,
            f"Found: within {1000 * TOLERANCE_S:g} ms of a true boundary, one to one.",
            "![true and fired boundaries](boundaries.png)",
        ]
        write_page(args.out / "boundaries.md", parts)
    return 0


def _draw(
    args: argparse.Namespace, encoder: SpeechEncoder, corpus: Corpus, spans_of: SpansOf
) -> None:
    from fairseq_budget.report.plots import plot_boundaries  # asks for matplotlib

    wave = corpus.read(args.utterance)
    fired = fire(encoder, wave)
    plot_boundaries(
        wave,
        args.out / "boundaries.png",
        alphas=fired.alphas,
        fired_s=fired.boundaries_s,
        true_s=true_boundaries(corpus, args.utterance, spans_of),
        title=corpus.name(args.utterance),
    )


def _row(name: str, score: BoundaryScore, hours: float) -> dict[str, str]:
    return {
        "boundaries": name,
        "per second": f"{score.num_hypothesised / hours / 3600:.2f}",
        "true per second": f"{score.num_true / hours / 3600:.2f}",
        "precision": f"{score.precision:.3f}",
        "recall": f"{score.recall:.3f}",
        "F1": f"{score.f1:.3f}",
        "over-segmentation": f"{score.over_segmentation:+.3f}",
        "R-value": f"{score.r_value:.3f}",
    }
