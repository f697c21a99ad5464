"""Pages of Markdown about finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.console.table import escaped, fenced, markdown_table
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.pretrained import read_pretrained
from fairseq_budget.report.curve import Run
from fairseq_budget.report.reconstruction import reconstruct
from fairseq_budget.report.training_log import read_training_log
from fairseq_budget.run.provenance import summary
from fairseq_budget.structured import conform, read_json

_SCORES: dict[str, Any] = {  # what is read of a results.json
    "task": str,
    "num_classes": int,
    "num_utterances": dict[str, int],
    "table": list[dict[str, str]],
    "runs": list[dict[str, Any]],
}


def write_run_page(
    folder: Path,
    log_file: Path,
    checkpoint_path: Path,
    wave: NDArray[np.float32],
    scores: Sequence[Path],
) -> Path:
    """Write ``report.md`` of a run and its figures into a folder; returns the page's path.

    `wave` (S,) is reconstructed. Raises BudgetError for a log or a checkpoint that cannot be read.
    """
    from fairseq_budget.report.plots import plot_loss, plot_reconstruction  # asks for matplotlib

    log = read_training_log(log_file)
    checkpoint = read_pretrained(checkpoint_path)
    result = reconstruct(checkpoint, wave)
    plot_loss(log, folder / "loss.png")
    plot_reconstruction(result, folder / "reconstruction.png")
    last = log.train[-1]
    facts = {
        "model": f"{checkpoint.model}, {checkpoint.encoder.size}",
        "updates": f"{checkpoint.provenance.get('num_updates', 0):,}",
        "audio heard": f"{last.get('audio_hours', 0):.2f} h",
        "training loss": f"{last['loss']:.3f}",
        "validation loss": f"{log.valid[-1]['loss']:.3f}" if log.valid else "-",
        "error on one utterance": f"{result.error():.3f} (constant: {result.trivial_error():.3f})",
        "wall clock": f"{last.get('wall', 0) / 60:.1f} min",
        **summary(checkpoint.provenance),
    }
    parts = [
        "# Pre-training report",
        markdown_table([{"": key, "value": value} for key, value in facts.items()]),
        "![loss](loss.png)",
        "![a true and a reconstructed target](reconstruction.png)",
        *map(scores_section, scores),
    ]
    write_page(folder / "report.md", parts)
    return folder / "report.md"


def scores_section(path: Path) -> str:
    content = read_scores(path)
    return (
        f"## Downstream: {escaped(content['task'])}, {content['num_classes']} classes, "
        f"{content['num_utterances']['test']} test utterances\n\n"
        f"{markdown_table(content['table'])}\n\n"
        f"Frozen upstreams; spread over {len({run['seed'] for run in content['runs']})} seeds. "
        f"Every run with its command: `{escaped(str(path))}`."
    )


def scores_page(results: Sequence[Path]) -> tuple[str, list[str]]:
    """A table of several comparisons, and the page around it: the command behind every number."""
    contents = {path.parent.name: read_scores(path) for path in results}
    table = markdown_table(
        [
            {
                "test": name,
                **{row["upstream"]: _test_score(row, content) for row in content["table"]},
            }
            for name, content in contents.items()
        ]
    )
    parts = ["# Downstream results", table]
    for name, content in contents.items():
        counts = ", ".join(f"{n} {split}" for split, n in content["num_utterances"].items())
        here = f"{Path.cwd()}/"  # commands are typed from the folder in which the page is made
        commands = [
            f"# {escaped(run['upstream'])} {100 * run['test']:.1f}\n"
            + run["key"]["command"].replace(here, "")
            for run in content["runs"]
        ]
        parts += [
            f"## {escaped(name)}",
            f"Task {escaped(content['task'])}, {content['num_classes']} classes; "
            f"utterances: {counts}.",
            fenced("\n".join(commands), "bash"),
        ]
    return table, parts


def _test_score(row: dict[str, str], content: dict[str, Any]) -> str:
    """The test score of a row, with its name where that is not accuracy, in per cent."""
    score = row[content.get("column", "test accuracy (%)")]
    metric = content.get("metric", "accuracy")
    return score if metric == "accuracy" else f"{score} {metric}"


def other_budgets(runs: list[Run]) -> list[str]:
    """A remark if the runs did not cost the same: then they make no U-curve."""
    flops = [run.flops for run in runs if run.flops]
    if not flops or max(flops) < 1.1 * min(flops):
        return []
    return [f"These runs spent from {min(flops):.3g} to {max(flops):.3g} FLOPs: not one budget."]


def read_scores(path: Path) -> dict[str, Any]:
    """The ``results.json`` of `budget-downstream compare`; BudgetError for anything else."""
    try:
        content: dict[str, Any] = read_json(path, dict)
        missing = _SCORES.keys() - content.keys()
        for name in _SCORES.keys() - missing:
            conform(content[name], _SCORES[name], name)
    except (OSError, ValueError) as error:
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
