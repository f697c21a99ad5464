"""Pages of Markdown about finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.console.table import escaped, fenced, markdown_table
from fairseq_budget.files import atomic_write
from fairseq_budget.pretrained import read_pretrained
from fairseq_budget.report.curve import Run
from fairseq_budget.report.reconstruction import reconstruct
from fairseq_budget.report.scored import Scored, read_scored, read_scores
from fairseq_budget.report.training_log import read_training_log
from fairseq_budget.run.provenance import summary


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
    """A table of several tests, and the page around it: the commands behind every number.

    A test has the name of its file's folder, with its task's behind where the file has several.
    """
    rows: list[dict[str, str]] = []
    sections: list[str] = []
    for path in results:
        scores = read_scored(path)
        tasks = list(dict.fromkeys(score.task for score in scores))
        for task in tasks:
            name = path.parent.name + f" {task}" * (len(tasks) > 1)
            own = [score for score in scores if score.task == task]
            rows.append({"test": name, **{score.upstream: score.shown for score in own}})
            sections += _commands_section(name, own)
    table = markdown_table(rows)
    return table, ["# Downstream results", table, *sections]


def _commands_section(name: str, scores: Sequence[Scored]) -> list[str]:
    here = f"{Path.cwd()}/"  # commands are typed from the folder in which the page is made
    blocks = []
    for score in scores:
        facts = ", ".join(f"{name} {value}" for name, value in score.facts.items())
        head = f"# {escaped(score.upstream)} {score.shown}: {escaped(facts)}"
        blocks.append("\n".join([head, *score.commands]).replace(here, ""))
    return [f"## {escaped(name)}", fenced("\n".join(blocks), "bash")]


def other_budgets(runs: list[Run]) -> list[str]:
    """A remark if the runs did not cost the same: then they make no U-curve."""
    flops = [run.flops for run in runs if run.flops]
    if not flops or max(flops) < 1.1 * min(flops):
        return []
    return [f"These runs spent from {min(flops):.3g} to {max(flops):.3g} FLOPs: not one budget."]


def write_page(path: Path, parts: Sequence[str]) -> None:
    """Write paragraphs of Markdown, atomically."""
    with atomic_write(path) as file:
        file.write("\n\n".join(parts) + "\n")
