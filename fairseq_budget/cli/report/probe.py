"""``budget-report probe``: what the layers of encoders hold, by linear probes and ABX."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import add_device, count, positive
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.rows import add_json, print_rows
from fairseq_budget.console.table import escaped, table
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import write_json
from fairseq_budget.report.probe_items import PHONES, WORDS

with imported_later():
    from fairseq_budget.corpus.manifest import Manifest
    from fairseq_budget.corpus.plain import read_text
    from fairseq_budget.prepare.speakers import find_speaker_rule
    from fairseq_budget.report.pages import write_page
    from fairseq_budget.report.probe import Bounds, ProbeRow, Questions, best_layers
    from fairseq_budget.report.probe_features import open_layers
    from fairseq_budget.segmentation.intervals import table_spans, textgrid_spans
    from fairseq_budget.text.alignments import SpansOf


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "probe",
        help="what each layer holds of phones, words and speakers, in minutes on a CPU",
        description="Print the best layer of linear probes (test accuracy) and of ABX (error). "
        "With --out, write OUT/probe.md, OUT/probe.json and OUT/probe.png with all layers.",
    )
    parser.add_argument(
        "--checkpoint", nargs="+", default=[], metavar="PATH",
        help="exported folders and checkpoints, of unfinished runs too; PATH:untrained is its "
        "architecture with fresh weights",
    )  # fmt: skip
    parser.add_argument("--logmel", action="store_true", help="add a row for log-mel features")
    parser.add_argument("--manifest", type=Path, required=True, metavar="TSV")
    for unit in (PHONES, WORDS):
        parser.add_argument(
            f"--{unit}", type=Path, metavar="PATH",
            help=f"utterance_id start_s end_s {unit[:-1]}, with header, or a folder of TextGrids "
            f"with a tier {unit} (default: {unit}.tsv in the manifest's root or above it, if any)",
        )  # fmt: skip
    parser.add_argument(
        "--speaker", metavar="REGEX",
        help="its first group is the speaker (default: of LibriSpeech's names, else the folder)",
    )  # fmt: skip
    parser.add_argument(
        "--hours", type=positive, default=0.5, help="of audio that is heard (default: 0.5)"
    )
    parser.add_argument(
        "--items", type=count, default=10_000, metavar="N",
        help="phones, and words, that are kept at most (default: 10000)",
    )  # fmt: skip
    parser.add_argument(
        "--num-words", type=count, default=50, metavar="N", help="the commonest (default: 50)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write")
    add_device(parser)
    add_json(parser)
    parser.set_defaults(run=_probe)


def _probe(args: argparse.Namespace) -> int:
    from fairseq_budget.report.probe_features import LOG_MEL  # asks for torch

    names = [*args.checkpoint, *([LOG_MEL] if args.logmel else [])]
    if not names or len(set(names)) < len(names):
        raise BudgetError(
            f"rows {', '.join(names) or 'none'}: give different --checkpoint, --logmel, or both"
        )
    if args.out:
        from fairseq_budget.report.plots import plot_probes  # asks for matplotlib, before the work
    opened = {name: open_layers(name, device=args.device, seed=args.seed) for name in names}
    questions, corpus = _ask(args), read_text(args.manifest)
    rows = [questions.chance()]
    for name, layers in opened.items():
        rows += questions.rows(name, layers, corpus)
    if args.out:
        plot_probes(rows, args.out / "probe.png")
        _write(args, rows, questions, corpus.hash)
    print_rows(rows if args.json else best_layers(rows), as_json=args.json)
    return 0


def _ask(args: argparse.Namespace) -> Questions:
    manifest = Manifest.read(args.manifest)
    rule = find_speaker_rule([u.pieces[0].path for u in manifest.utterances], args.speaker)
    found = {unit: _spans_of(args, unit, manifest.root) for unit in (PHONES, WORDS)}
    spans_of = {unit: spans for unit, spans in found.items() if spans is not None}
    bounds = Bounds(args.hours, args.items, args.num_words)
    return Questions.draw(manifest, rule, spans_of, bounds, args.seed)


def _spans_of(args: argparse.Namespace, unit: str, root: Path) -> SpansOf | None:
    path = getattr(args, unit)
    if path is None:
        beside = (folder / f"{unit}.tsv" for folder in (root, root.parent))
        path = next((table for table in beside if table.is_file()), None)
    if path is None:
        return None
    return textgrid_spans(path, unit) if path.is_dir() else table_spans(path, unit[:-1])


def _write(
    args: argparse.Namespace, rows: list[ProbeRow], questions: Questions, manifest_hash: str
) -> None:
    from fairseq_budget.report.probe import EXPLANATION  # asks for torch

    heard, counts = asdict(questions.heard), questions.counts()
    content = {"manifest": manifest_hash, "seed": args.seed, "heard": heard, "asked": counts}
    content["rows"] = [asdict(row) for row in rows]
    write_json(args.out / "probe.json", content, sort_keys=False)
    parts = [
        f"# Probes of {escaped(args.manifest.stem)}",
        table(best_layers(rows)),
        EXPLANATION,
        "![all layers](probe.png)",
        table(rows),
        table([{"asked": name} | numbers for name, numbers in counts.items()]),
        f"Seed {args.seed}; heard:",
        table([heard]),
    ]
    write_page(args.out / "probe.md", parts)
