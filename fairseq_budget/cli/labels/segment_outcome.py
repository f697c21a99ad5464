"""Arguments and outcome that ``segment`` and ``boundaries`` share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from fairseq_budget.cli.later import imported_later
from fairseq_budget.console.progress import Progress
from fairseq_budget.console.table import markdown_table
from fairseq_budget.corpus.column_kinds import SEGMENTS
from fairseq_budget.frames import FRAME_RATE_HZ

with imported_later():
    from fairseq_budget.corpus.plain import read_text
    from fairseq_budget.corpus.segments import Segmentation, open_segments


def add_segmentation(parser: argparse.ArgumentParser) -> None:
    """The folder and the segmentation, and how the outcome is printed."""
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="folder of the manifests"
    )
    parser.add_argument(
        "--name", default=SEGMENTS, help=f"write {{split}}.NAME (default: {SEGMENTS})"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as json")


def print_segments(args: argparse.Namespace, splits: Sequence[str], **more: float) -> int:
    """Read every line again, and print what is in it."""
    rows = {}
    for split in splits:  # from the text: a pack beside it may be older
        corpus = read_text(args.data / f"{split}.tsv")
        rows[split] = _count(open_segments(args.data, split, args.name, corpus=corpus))
    if args.json:
        print(json.dumps({"splits": rows, **more}, indent=2))
    else:
        shown = [{"split": split, **_shown(row)} for split, row in rows.items()]
        print(markdown_table(shown))
    return 0


def _count(segments: Segmentation) -> dict[str, float]:
    name = f"{segments.split}: check"
    indices = Progress(range(len(segments)), name, unit="utterance")
    num_segments = sum(len(segments.ends(index)) for index in indices)
    num_frames = int(segments.num_frames.sum())
    return {
        "num_utterances": len(segments),
        "num_frames": num_frames,
        "num_segments": num_segments,
        "rate_hz": FRAME_RATE_HZ * num_segments / max(num_frames, 1),
    }


def _shown(row: dict[str, float]) -> dict[str, str]:
    return {
        "utterances": f"{row['num_utterances']:,}",
        "frames": f"{row['num_frames']:,}",
        "segments": f"{row['num_segments']:,}",
        "segments per second": f"{row['rate_hz']:.2f}",
        "mean segment (ms)": f"{1000 / row['rate_hz']:.0f}" if row["rate_hz"] else "-",
    }
