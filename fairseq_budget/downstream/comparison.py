"""Test scores of several upstreams on one layout, over several seeds of the classifier."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fairseq_budget.downstream.layout import Layout
from fairseq_budget.downstream.runs import Result
from fairseq_budget.downstream.tasks import Task
from fairseq_budget.files import write_json


def summarize(results: Sequence[Result], task: Task) -> list[dict[str, str]]:
    """One row per upstream: mean and sample standard deviation of the test scores, in percent."""
    rows = []
    first, *others = task.metrics
    for name in dict.fromkeys(result.upstream for result in results):
        own = [result for result in results if result.upstream == name]
        tests = [result.test for result in own]
        row = {
            "upstream": name,
            f"test {first.title}": _mean(tests),
            "each seed": ", ".join(f"{100 * score:.1f}" for score in tests),
            "valid (%)": f"{100 * statistics.mean(result.valid for result in own):.1f}",
        }
        for metric in others:
            row[metric.title] = _mean([result.others[metric.name] for result in own])
        rows.append(row)
    return rows


def _mean(shares: Sequence[float]) -> str:
    """Mean, and sample standard deviation where there are several, in percent."""
    values = [100 * share for share in shares]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def write_results(path: Path, layout: Layout, results: Sequence[Result]) -> None:
    """All results, each with its command, and the table made of them."""
    metric = layout.task.metrics[0]
    write_json(
        path,
        {
            "task": layout.request.task,
            "metric": metric.name,
            "higher_is_better": metric.higher_is_better,
            "column": f"test {metric.title}",
            "num_utterances": layout.num_utterances,
            "num_classes": len(layout.classes),
            "table": summarize(results, layout.task),
            "runs": [asdict(result) for result in results],
        },
        sort_keys=False,
        ensure_ascii=False,
    )
