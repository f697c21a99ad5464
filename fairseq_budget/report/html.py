"""Runs, scores and probes as one page of HTML that needs nothing else: a section for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import count
from types import MappingProxyType
from typing import Any

from fairseq_budget.console.table import cell, cells
from fairseq_budget.errors import BudgetError
from fairseq_budget.report import interactive
from fairseq_budget.report.boundaries import Fired
from fairseq_budget.report.heard import Heard
from fairseq_budget.report.html_page import (
    details,
    element_table,
    page,
    paragraph,
    section,
    side_by_side,
    sound,
    text_table,
)
from fairseq_budget.report.lengths import length_table
from fairseq_budget.report.lines import HOURS, SIZE, panels
from fairseq_budget.report.probe import EXPLANATION, ProbeRow, best_layers
from fairseq_budget.report.scored import Scored
from fairseq_budget.report.trained import Trained, trained_row
from fairseq_budget.run.provenance import Session

COMMAND = "command"
LOSSES = (
    "Drag over a part of the figure to see more of it, twice on it to see all again; click on a "
    "name to switch its line off, twice to see it alone. Losses of different objectives are not "
    "comparable."
)
LINES = (
    "Of finished runs, after their last update; losses without penalties. A point is a run; a line "
    "joins runs of one objective, one budget (FLOPs within 10 %) and losses that compare, by their "
    "means where several runs are alike, as seeds are."
)
LENGTHS = (
    "Of training sequences in seconds. Runs validate on sequences of their own lengths, so that "
    "losses of different lengths do not compare; scores do."
)
SCORES = (
    "Of the test set, in per cent; ± is the standard deviation over seeds. Behind each score: how "
    "it was made, and the command that makes it again."
)
PUBLISHED = (
    "Rows with a paper's name are what it printed, of SUPERB's own corpora: scores of other data "
    "do not compare with them."
)
FILLED = (
    "Of the validation set, at most 8 s. Black was hidden from the model, which fills it in: its "
    "mean absolute error there is {:.3f}, that of the best constant {:.3f}."
)
FIRED = "Of the validation set, at most 8 s. Lines are where the model ends its segments."
LAYERS = "The share of each layer in the sum that the downstream model has learned, in per cent."
_SAVED = {  # of a checkpoint's provenance, by what people read
    "checkpoint": "checkpoint",
    "its SHA-256": "checkpoint_sha256",
    "its updates": "num_updates",
    "seed": "seed",
    "processes": "num_processes",
}


@dataclass(frozen=True)
class _Section:
    """Parts in HTML, and the figures behind them."""

    title: str
    parts: list[str] = field(default_factory=list)
    figures: Sequence[Any] = ()


def report(
    title: str,
    runs: Sequence[Trained],
    scores: Sequence[Scored],
    probes: Mapping[str, Sequence[ProbeRow]],
    *,
    heard: Mapping[str, Heard] = MappingProxyType({}),
    published: Mapping[str, Mapping[tuple[str, str], float]] = MappingProxyType({}),
    refresh_s: float | None = None,
) -> str:
    """The page, with a section for each of what there is; probes by the names of their headings.

    What was `heard` goes by the names of runs; what papers `published`, in per cent, by task and
    metric, by the names of its rows, which stand below ours. With `refresh_s` browsers read the
    page again after so many seconds. Raises BudgetError where there is nothing.
    """
    found = [
        *_trained(runs),
        *_curves(runs),
        *_lengths(runs),
        *_heard(heard),
        *_scores(scores, published),
        *_layers(scores),
        *_probes(probes),
        *_provenance(runs),
    ]
    if not found:
        raise BudgetError("there is nothing to report: give runs, --log, --scores or --probe")
    names = (f"figure-{number}" for number in count(1))
    sections = [
        section(one.title, [*one.parts, side_by_side(_drawn(one.figures, names))]) for one in found
    ]
    scripts = [interactive.library()] if any(one.figures for one in found) else []
    return page(title, sections, scripts, refresh_s=refresh_s)


def _drawn(figures: Sequence[Any], names: Iterator[str]) -> list[str]:
    return [interactive.markup(figure, next(names)) for figure in figures]


def _trained(runs: Sequence[Trained]) -> Iterator[_Section]:
    if runs:
        yield _Section("Training", [text_table(cells([trained_row(run) for run in runs]))])
        yield _Section("Losses", [paragraph(LOSSES)], [interactive.losses(runs)])


def _curves(runs: Sequence[Trained]) -> Iterator[_Section]:
    """Runs that differ in their size alone, and those that differ in their corpus alone."""
    for title, along, held in (("size", SIZE, HOURS), ("data", HOURS, SIZE)):
        found = panels(runs, along, held)
        if found:
            figures = [interactive.against(name, own, along.title) for name, own in found.items()]
            yield _Section(f"Loss against {title}", [paragraph(LINES)], figures)


def _lengths(runs: Sequence[Trained]) -> Iterator[_Section]:
    if rows := length_table(runs):
        yield _Section("Length of sequences", [paragraph(LENGTHS), text_table(rows)])


def _heard(heard: Mapping[str, Heard]) -> Iterator[_Section]:
    """An utterance to listen to, and what the run made of it."""
    for name, one in heard.items():
        if isinstance(one.made, Fired):
            words, figure = FIRED, interactive.boundaries(one.wave, one.made)
        else:
            words = FILLED.format(one.made.error(), one.made.trivial_error())
            figure = interactive.reconstruction(one.made)
        parts = [paragraph(f"{one.utterance}. {words}"), sound(one.wave)]
        yield _Section(f"What {name} hears", parts, [figure])


def _scores(
    scores: Sequence[Scored], published: Mapping[str, Mapping[tuple[str, str], float]]
) -> Iterator[_Section]:
    """A row for each upstream, a column for each task; a cell holds all that files say of it."""
    if not scores:
        return
    parts = list(dict.fromkeys((score.task, score.metric) for score in scores))
    rows = [
        [escape(upstream), *(_cell(scores, upstream, part) for part in parts)]
        for upstream in dict.fromkeys(score.upstream for score in scores)
    ]
    rows += [
        [escape(name), *(f"{own[part]:.2f}" if part in own else "-" for part in parts)]
        for name, own in published.items()
        if not own.keys().isdisjoint(parts)
    ]
    header = ["upstream", *(f"{task.upper()}, {metric}" for task, metric in parts)]
    words = [SCORES, PUBLISHED] if published else [SCORES]
    yield _Section("Scores", [*map(paragraph, words), element_table(header, rows)])


def _cell(scores: Sequence[Scored], upstream: str, part: tuple[str, str]) -> str:
    own = [s for s in scores if s.upstream == upstream and (s.task, s.metric) == part]
    return "".join(map(_score, own)) or "-"


def _score(score: Scored) -> str:
    commands = [(COMMAND, command) for command in score.commands]
    return details(score.score, [*score.facts.items(), *commands], code=[COMMAND])


def _layers(scores: Sequence[Scored]) -> Iterator[_Section]:
    tasks: dict[str, list[tuple[str, Sequence[float]]]] = {}
    for score in scores:
        if score.layer_weights:
            tasks.setdefault(score.task, []).append((score.upstream, score.layer_weights))
    if tasks:
        figures = [interactive.layer_weights(task, rows) for task, rows in tasks.items()]
        yield _Section("Weights of layers", [paragraph(LAYERS)], figures)


def _probes(probes: Mapping[str, Sequence[ProbeRow]]) -> Iterator[_Section]:
    for name, rows in probes.items():
        parts = [text_table(best_layers(rows)), paragraph(EXPLANATION)]
        yield _Section(f"What layers hold: {name}", parts, interactive.probes(rows))


def _provenance(runs: Sequence[Trained]) -> Iterator[_Section]:
    known = [run for run in runs if run.provenance]
    if known:
        parts = [details(run.name, _made_with(run.provenance), code=[COMMAND]) for run in known]
        yield _Section("Provenance", parts)


def _made_with(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The weights of a run, and what each of its sessions was made with."""
    for shown, name in _SAVED.items():
        yield shown, str(provenance.get(name))
    for number, session in enumerate(provenance.get("sessions") or (), start=1):
        yield f"session {number}", f"from update {cell(session.get('from_update'))}"
        yield from _software(session)
        for split, hashes in session.get("data", {}).items():
            yield from ((f"{split}: {name}", sha256) for name, sha256 in hashes.items())
        yield COMMAND, cell(session.get(COMMAND))


def _software(session: Session) -> Iterator[tuple[str, str]]:
    others = ("from_update", "data", COMMAND)
    yield from ((name, cell(value)) for name, value in session.items() if name not in others)
