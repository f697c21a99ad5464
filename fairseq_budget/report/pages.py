"""Pages of Markdown about finished runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_budget.console.table import markdown_table
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.report.curve import Run


def scores_section(path: Path) -> str:
    content = _read_scores(path)
    return (
        f"## Downstream: {content['task']}, {content['num_classes']} classes, "
        f"{content['num_utterances']['test']} test utterances\n\n"
        f"{markdown_table(content['table'])}\n\n"
        f"Frozen upstreams; spread over {len({run['seed'] for run in content['runs']})} seeds. "
        f"Every run with its command: `{path}`."
    )


def scores_page(results: Sequence[Path]) -> tuple[str, list[str]]:
    """A table of several comparisons, and the page around it: the command behind every number."""
    contents = {path.parent.name: _read_scores(path) for path in results}
    table = markdown_table(
        [
            {
                "test": name,
                **{row["upstream"]: row["test accuracy (%)"] for row in content["table"]},
            }
            for name, content in contents.items()
        ]
    )
    parts = ["# Downstream results", table]
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
    return table, parts


def other_budgets(runs: list[Run]) -> list[str]:
    """A remark if the runs did not cost the same: then they make no U-curve."""
    flops = [run.flops for run in runs if run.flops]
    if not flops or max(flops) < 1.1 * min(flops):
        return []
    return [f"These runs spent from {min(flops):.3g} to {max(flops):.3g} FLOPs: not one budget."]


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


def write_page(path: Path, parts: Sequence[str]) -> None:
    """Write paragraphs of Markdown, atomically."""
    with atomic_write(path) as file:
        file.write("\n\n".join(parts) + "\n")
