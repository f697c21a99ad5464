"""Downstream scores, of superb.json and results.json alike, with what is behind each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from fairseq_budget.console.table import cell
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.structured import Range, Share, check_entries, conform, read_json

_PERCENT = Annotated[float, Range(0, 10_000)]  # of errors, too (see `structured.Rate`)
_SCORES: dict[str, Any] = {  # what is read of a results.json
    "task": str,
    "num_classes": int,
    "num_utterances": dict[str, int],
    "table": list[dict[str, str]],
    "runs": list[dict[str, Any]],
}
_CELL: dict[str, Any] = {  # what is read of a superb.json
    "task": str,
    "upstream": str,
    "metric": str,
    "test_percent": _PERCENT,
    "spread_percent": _PERCENT | None,
    "valid_percent": _PERCENT,
    "learning_rate": float | None,
    "layer": int | None,
    "num_seeds": int,
    "num_folds": int,
    "sha256": str | None,
    "command": str,
    "layer_weights": list[Share] | None,
}
_RUN: dict[str, Any] = {  # and of each run in a results.json, where it has it
    "upstream": str,
    "seed": int,
    "learning_rate": float | None,
    "layer_weights": list[Share] | None,
    "key": dict[str, Any],
}


@dataclass(frozen=True)
class Scored:
    """A test score of an upstream, as people see it, in per cent.

    `facts` say how it was made, in words; `commands` make it again. `layer_weights`, if the
    downstream model heard a sum of layers, are their shares.
    """

    task: str
    metric: str
    upstream: str
    score: str
    facts: dict[str, str]
    commands: tuple[str, ...]
    layer_weights: tuple[float, ...] | None = None

    @property
    def shown(self) -> str:
        """The score, with its metric where that is not accuracy."""
        return self.score if self.metric == "accuracy" else f"{self.score} {self.metric}"


def read_scored(path: Path) -> list[Scored]:
    """The scores of a file; BudgetError if it is none that `budget-downstream` wrote."""
    cure = "expected the superb.json or results.json that `budget-downstream` writes"
    with reading(path, cure):
        content = read_json(path)
        if isinstance(content, list):
            cells = conform(content, list[dict[str, Any]])
            return [_of_cell(entry, f"it[{place}]") for place, entry in enumerate(cells)]
        return _of_comparison(read_scores(path))


def _of_cell(entry: dict[str, Any], where: str) -> Scored:
    entry = {"num_folds": 1, "layer": None, **entry}  # as it was where a file does not say
    own = {name: conform(entry[name], kind, f"{where}.{name}") for name, kind in _CELL.items()}
    spread = "" if own["spread_percent"] is None else f" ± {own['spread_percent']:.1f}"
    facts = {
        **_swept(own["learning_rate"], own["layer"]),
        "validation": f"{own['valid_percent']:.1f}",
        "seeds": cell(own["num_seeds"]),
        "folds": cell(own["num_folds"]),
        "weights": own["sha256"] or "none",
    }
    return Scored(
        own["task"],
        own["metric"],
        own["upstream"],
        f"{own['test_percent']:.1f}{spread}",
        facts,
        (own["command"],),
        _mean([own["layer_weights"]]),
    )


def _swept(rate: float | None, layer: int | None) -> dict[str, str]:
    """What validation has chosen: a learning rate, or a layer where nothing is learned."""
    if (rate is None) == (layer is None):
        raise ValueError(f"learning_rate is {rate} and layer is {layer}, expected one of them")
    return {"layer": f"{layer}"} if rate is None else {"learning rate": f"{rate:g}"}


def _of_comparison(content: dict[str, Any]) -> list[Scored]:
    column = content.get("column", "test accuracy (%)")
    metric = conform(content.get("metric", "accuracy"), str, "metric")
    scores = []
    for row in content["table"]:
        own = [run for run in content["runs"] if run["upstream"] == row["upstream"]]
        for run in own:
            check_entries(run, _RUN)
        keys = [run.get("key", {}) for run in own]
        rates = {run["learning_rate"] for run in own if run.get("learning_rate") is not None}
        facts = {
            "learning rate": ", ".join(f"{rate:g}" for rate in sorted(rates)) or "the task's own",
            "validation": row.get("valid (%)", "-"),
            "seeds": ", ".join(str(run["seed"]) for run in own),
            "weights": ", ".join({key.get("checkpoint_sha256") or "none": "" for key in keys}),
        }
        commands = tuple(conform(key["command"], str, "command") for key in keys)
        weights = _mean([run.get("layer_weights") for run in own])
        scores.append(
            Scored(content["task"], metric, row["upstream"], row[column], facts, commands, weights)
        )
    return scores


def _mean(weights: Sequence[Sequence[float] | None]) -> tuple[float, ...] | None:
    """Of each layer over the runs that have weights."""
    known = [own for own in weights if own]
    return tuple(map(fmean, zip(*known, strict=True))) if known else None


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
