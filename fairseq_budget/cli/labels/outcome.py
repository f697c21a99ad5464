"""The outcome of ``make``, ``apply`` and ``check``: every label checked, and their worth."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fairseq_budget.audio.bad_share import NUM_SHOWN
from fairseq_budget.cli.later import imported_later
from fairseq_budget.console.table import markdown_table

with imported_later():
    from fairseq_budget.corpus.labels import read_info
    from fairseq_budget.labels.make import Checked, check_labels
    from fairseq_budget.labels.quality import verdict
    from fairseq_budget.text.alignments import Alignments


def print_outcome(
    args: argparse.Namespace,
    splits: Sequence[str],
    alignments: Alignments | None,
    **more: Any,
) -> int:
    """Check every label of the splits and print what they are worth."""
    checked = check_labels(args.data, splits, args.name, alignments)
    summaries = {split: found.summary for split, found in checked.items()}
    for split, found in checked.items():
        _print_unheard(split, found)
    findings = {split: verdict(summary) for split, summary in summaries.items()}
    if args.json:
        outcome = {
            "labels": asdict(read_info(args.data, args.name)),
            "splits": summaries,
            "findings": findings,
            **more,
        }
        print(json.dumps(outcome, indent=2))
        return 0
    print(markdown_table([_row(split, summary) for split, summary in summaries.items()]))
    for split, problems in findings.items():
        print(f"{split}: {'; '.join(problems) or 'good'}")
    return 0


def _print_unheard(split: str, found: Checked) -> None:
    corpus, unheard = found.corpus, found.unheard
    for index in list(unheard)[:NUM_SHOWN]:
        reason = unheard[index] or f"{corpus.name(index)}: can be read by now; make them again"
        print(f"{split}: without labels: {reason}", file=sys.stderr)
    if unheard:
        print(f"{split}: {len(unheard)} of {len(corpus)} are without labels", file=sys.stderr)


def _row(split: str, summary: dict[str, float]) -> dict[str, str]:
    row = {
        "split": split,
        "utterances": f"{summary['num_utterances']:,}",
        "frames": f"{summary['num_frames']:,}",
        "hours": f"{summary['hours']:.2f}",
        "clusters (empty)": f"{summary['num_clusters']} ({summary['num_empty_clusters']})",
        "entropy (bits)": f"{summary['entropy_bits']:.2f}",
        "perplexity": f"{summary['perplexity']:.1f}",
        "mean run (ms)": f"{summary['mean_run_ms']:.0f}",
    }
    if "pnmi" in summary:
        row |= {
            "phone purity": f"{summary['phone_purity']:.3f}",
            "cluster purity": f"{summary['cluster_purity']:.3f}",
            "PNMI": f"{summary['pnmi']:.3f}",
        }
    return row
