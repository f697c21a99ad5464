"""Figures; the only import of matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fairseq_budget.audio.mfcc import LogMel
from fairseq_budget.budget.length_histogram import Bar
from fairseq_budget.budget.lengths import LengthRow
from fairseq_budget.budget.task_training import TaskRow
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import FRAME_RATE_HZ, SAMPLE_RATE
from fairseq_budget.report.curve import Run, forecast_lines
from fairseq_budget.report.probe import HEADERS, ProbeRow, asked, grids
from fairseq_budget.report.reconstruction import Reconstruction
from fairseq_budget.report.training_log import TrainingLog
from fairseq_budget.text.units import UnitRate

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise BudgetError('figures need matplotlib: pip install "fairseq_budget[report]"') from error

Pairs = Sequence[Sequence[float]]

BLUE, ORANGE, GREY, DARK = "#1f5fa8", "#d9730d", "#9a9a9a", "#303030"


def plot_loss(log: TrainingLog, path: Path) -> None:
    """Training and validation loss against updates."""
    figure, axes = _axes(6.4, 3.6)
    for records, label, style in (
        (log.train, "training", {"color": BLUE}),
        (log.valid, "validation", {"color": ORANGE, "marker": "o", "markersize": 4}),
    ):
        updates, losses = [r["num_updates"] for r in records], [r["loss"] for r in records]
        axes.plot(updates, losses, label=label, **style)
    updates, losses, expected, low, high = _columns(forecast_lines(log), 5)
    if updates:
        axes.plot(updates, losses, "o", markersize=3, color=DARK, label="validation, no penalties")
        axes.plot(updates, expected, "--", color=GREY, label="forecast")
        axes.fill_between(updates, low, high, color=GREY, alpha=0.3, linewidth=0, label="of 80 %")
    axes.set(xlabel="update", ylabel="loss", title="Masked reconstruction")
    axes.legend(frameon=False)
    _save(figure, path)


def plot_reconstruction(result: Reconstruction, path: Path) -> None:
    """Log-mel pictures: the true target, what was left of it, and what the model filled in."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    rows = figure.subplots(3, sharex=True)
    true = result.spectrogram(result.target)  # (2 T, bands)
    filled = result.spectrogram(result.prediction.where(result.mask[:, None], result.target))
    hidden = result.mask.repeat_interleave(2)[:, None]
    low, high = true.quantile(0.02).item(), true.quantile(0.99).item()
    panels = {"true": true, "heard": true.masked_fill(hidden, float("nan")), "filled in": filled}
    for axes, (title, picture) in zip(rows, panels.items(), strict=True):
        axes.set_facecolor(GREY)
        axes.imshow(
            picture.T.numpy(), origin="lower", aspect="auto", vmin=low, vmax=high,
            interpolation="nearest", cmap="magma", extent=(0, len(picture) / 100, 0, 1),
        )  # fmt: skip
        axes.set_ylabel(title)
        axes.set_yticks([])
    rows[0].set_title(
        f"Mean absolute error of masked frames {result.error():.3f}, "
        f"of the best constant {result.trivial_error():.3f}"
    )
    rows[-1].set_xlabel("seconds")
    figure.supylabel("mel bands, low to high")
    _save(figure, path)


def plot_curve(runs: Sequence[Run], path: Path) -> None:
    """One panel for each loss and score against parameters, one line for each objective."""
    panels = list(dict.fromkeys(name for run in runs for name in run.points()))
    figure = Figure(figsize=(4.2 * len(panels), 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for objective in dict.fromkeys(run.objective for run in runs):
            own = [r for r in runs if r.objective == objective and name in r.points()]
            x, y = [run.parameters for run in own], [run.points()[name] for run in own]
            axes.plot(x, y, marker="o", markersize=4, label=objective)
            for run in own:
                axes.annotate(
                    run.name, (run.parameters, run.points()[name]), fontsize=7,
                    xytext=(0, 5), textcoords="offset points", ha="center",
                )  # fmt: skip
        axes.set(xscale="log", xlabel="parameters", title=name)
        axes.margins(0.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    _save(figure, path)


def plot_forecast(
    budgets: Mapping[str, tuple[Pairs, Pairs]],
    planned: Sequence[tuple[float, float, float, float]],
    path: Path,
    *,
    best: float | None,
    title: str,
) -> None:
    """Runs and the parabola of each budget, and what is planned: loss against encoder parameters.

    budgets: by name, pairs of parameters and loss, of runs and along the curve. planned: rows of
    parameters, loss, low and high; `best`: the parameters of the one to take.
    """
    figure, axes = _axes(6.4, 4.2)
    for place, (name, (runs, curve)) in enumerate(budgets.items()):
        style: dict[str, Any] = {"color": BLUE, "alpha": (place + 1) / len(budgets)}
        axes.plot(*_columns(curve, 2), linewidth=1, **style)
        axes.plot(*_columns(runs, 2), "o", markersize=4, label=name, **style)
    sizes, losses, low, high = _columns(sorted(planned), 4)
    if sizes:
        axes.fill_between(sizes, low, high, color=ORANGE, alpha=0.2, linewidth=0, label="80 %")
        axes.plot(sizes, losses, "o-", markersize=4, color=ORANGE, label="expected")
        chosen = [pair for pair in zip(sizes, losses, strict=True) if pair[0] == best]
        axes.plot(*_columns(chosen, 2), "*", markersize=14, color=ORANGE, label="recommended")
    axes.set(xscale="log", xlabel="encoder parameters", ylabel="validation loss", title=title)
    axes.legend(frameon=False)
    _save(figure, path)


def _columns(rows: Sequence[Sequence[float]], number: int) -> list[list[float]]:
    """The columns of rows, of which there may be none."""
    return [[row[place] for row in rows] for place in range(number)]


def plot_accuracies(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], path: Path
) -> None:
    """Validation accuracy in per cent against FLOPs spent (`accuracy_curve`), a line for a run."""
    figure, axes = _axes(5.2, 3.0)
    for name, (flops, accuracies) in curves.items():
        axes.plot(flops, accuracies, marker="o", markersize=4, label=name)
    axes.set(xlabel="FLOPs spent", ylabel="validation accuracy (%)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _save(figure, path)


def plot_units(rows: Sequence[UnitRate], path: Path) -> None:
    """Units per second as bars, with the frame rates to hold them."""
    figure, axes = _axes(6.4, 0.9 + 0.35 * len(rows))
    bars = axes.barh([row.unit for row in rows], [row.rate_hz for row in rows], color=BLUE)
    axes.bar_label(bars, fmt="%.1f", padding=3, bbox={"facecolor": "white", "lw": 0, "pad": 1})
    for rate in (rates := [6.25, 12.5, 25]):
        axes.axvline(rate, color=ORANGE, linewidth=1, linestyle="--", zorder=0)
    axes.set_xticks([0, *rates], ["0", "6.25", "12.5", "25"])
    axes.set(xlabel="units per second; dashed: frame rates in Hz")
    axes.set_xlim(0, max(26, 1.1 * max(row.rate_hz for row in rows)))
    axes.invert_yaxis()
    _save(figure, path)


def plot_lengths(rows: Sequence[LengthRow], path: Path) -> None:
    """Memory and FLOPs against sequence length, a line for a batch size.

    Dots: memory that was measured, where it was.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    batches = sorted({row.batch for row in rows})
    for index, batch in enumerate(batches):
        own = sorted((r for r in rows if r.batch == batch), key=lambda row: row.length_s)
        lengths = [row.length_s for row in own]
        style = {"color": BLUE, "alpha": (index + 1) / len(batches), "label": f"batch {batch}"}
        left.plot(lengths, [row.fp32_gib for row in own], **style)
        right.plot(lengths, [row.forward_gflops for row in own], marker=".", **style)
        measured = [(r.length_s, r.fp32_peak_gib) for r in own]
        dots = [(x, y) for x, y in measured if isinstance(y, float)]
        left.scatter(*zip(*dots, strict=True) if dots else ((), ()), color=ORANGE, zorder=3)
    dots_say = ", dots: measured" if rows[0].fp32_peak_gib is not None else ""
    left.set(xlabel="seconds", ylabel="GiB", title=f"Memory of an update, float32{dots_say}")
    right.set(xlabel="seconds", ylabel="GFLOP", title="Forward pass")
    for axes in (left, right):
        axes.set_xticks(sorted({row.length_s for row in rows}))
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    right.legend(frameon=False)
    _save(figure, path)


def plot_downstream(rows: Sequence[TaskRow], path: Path) -> None:
    """Memory of downstream training as bars: measured, else planned."""
    figure, axes = _axes(6.4, 0.9 + 0.35 * len(rows))
    names = [f"{r.task}, {'frozen' if r.frozen else 'unfrozen'}" for r in rows]
    memory = [r.fp32_gib if r.fp32_peak_gib is None else r.fp32_peak_gib for r in rows]
    colors = [ORANGE if row.frozen else BLUE for row in rows]
    bars = axes.barh(names, [0.0 if m == "OOM" else m for m in memory], color=colors)
    axes.bar_label(bars, [m if m == "OOM" else f"{m:.1f}" for m in memory], padding=3)
    measured = "measured" if rows[0].fp32_peak_gib is not None else "closed form"
    axes.set(xlabel=f"GiB of an update, {measured}")
    axes.margins(x=0.1)
    axes.invert_yaxis()
    _save(figure, path)


def plot_match(bars: Sequence[Bar], path: Path, *, mean_s: float, recommended_s: float) -> None:
    """How long utterances are, their mean, and what is recommended."""
    figure, axes = _axes(6.4, 3.6)
    starts = [bar.from_s for bar in bars]
    widths = [bar.to_s - bar.from_s for bar in bars]
    axes.bar(starts, [bar.num_utterances for bar in bars], widths, align="edge", color=GREY)
    for seconds, label, color in (
        (mean_s, f"mean: {mean_s:.2f} s", DARK),
        (recommended_s, f"pre-train at {recommended_s:g} s", ORANGE),
    ):
        axes.axvline(seconds, color=color, linewidth=1.5, label=label)
    longest = ", the last bar: and longer" if bars[-1].is_open else ""
    axes.set(xlabel=f"seconds{longest}", ylabel="utterances", xlim=(0, None))
    axes.legend(frameon=False)
    _save(figure, path)


def plot_boundaries(
    wave: NDArray[np.float32],
    path: Path,
    *,
    alphas: NDArray[np.float32],
    fired_s: Sequence[float] | NDArray[np.float64],
    true_s: Sequence[float],
    title: str,
) -> None:
    """A log-mel spectrogram with the true boundaries, and below it CIF weights and where they fire.

    wave (S,) at 16 kHz; alphas (T,), one per frame of 20 ms; boundaries in seconds.
    """
    duration_s = len(wave) / SAMPLE_RATE
    figure = Figure(figsize=(max(8, min(2.2 * duration_s, 24)), 4.4), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(2, 1))
    picture = LogMel()(torch.from_numpy(wave)[None])[0].T.numpy()
    low, high = np.quantile(picture, (0.05, 0.995))
    above.imshow(
        picture, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="magma",
        interpolation="nearest", extent=(0, duration_s, 0, 1),
    )  # fmt: skip
    above.vlines(true_s, 0, 1, color="white", linestyle=(0, (4, 3)), linewidth=0.9)
    above.plot(fired_s, np.zeros(len(fired_s)), "^", color=ORANGE, markersize=6, clip_on=False)
    above.set(yticks=[], ylabel="log-mel", xlim=(0, duration_s), ylim=(0, 1), title=title)
    edges_s = np.arange(len(alphas) + 1) / FRAME_RATE_HZ
    weight = below.stairs(alphas, edges_s, fill=True, color=BLUE, alpha=0.55)
    top = 1.15 * float(alphas.max())
    true = below.vlines(true_s, 0, top, color=DARK, linestyle=(0, (4, 3)), linewidth=0.9)
    fired = below.vlines(fired_s, 0, top, color=ORANGE, linewidth=1.4)
    below.set(ylim=(0, top), ylabel="weight", xlabel="seconds")
    below.spines[["top", "right"]].set_visible(False)
    figure.legend(
        [true, fired, weight], ["true boundary", "fired boundary", "CIF weight"],
        loc="outside lower center", ncols=3, frameon=False,
    )  # fmt: skip
    _save(figure, path)


def plot_layers(tasks: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> None:
    """A panel for each task: the share of each layer in its sum, a row for each upstream."""
    largest = max(len(rows) for rows in tasks.values())
    size = (7, 0.8 + len(tasks) * (0.6 + 0.25 * largest))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(tasks), squeeze=False)[:, 0]
    for axes, (task, rows) in zip(panels, tasks.items(), strict=True):
        grid = np.full((len(rows), max(map(len, rows.values()))), np.nan)
        for place, weights in enumerate(rows.values()):
            grid[place, : len(weights)] = weights
        picture = axes.imshow(grid, aspect="auto", cmap="viridis", vmin=0)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_xticks(range(grid.shape[1]))
        axes.set_title(task, loc="left", fontsize="medium")
        figure.colorbar(picture, ax=axes)
    panels[-1].set_xlabel("layer (0: what the first one hears)")
    _save(figure, path)


def plot_probes(rows: Sequence[ProbeRow], path: Path) -> None:
    """A panel for each checkpoint: layers by probes, in per cent, of rows that chance heads.

    Colours go from chance to the best of all layers and checkpoints.
    """
    probes, pictures = asked(rows[0]), grids(rows)
    heights = [len(grid.shares) for grid in pictures.values()]
    size = (1.6 + 1.3 * len(probes), 0.8 + 0.5 * len(pictures) + 0.3 * sum(heights))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(pictures), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (checkpoint, grid) in zip(panels, pictures.items(), strict=True):
        axes.imshow(grid.heights, aspect="auto", cmap="viridis", vmin=0, vmax=1.4)
        for (layer, place), value in np.ndenumerate(grid.shares):
            axes.text(place, layer, f"{100 * value:.1f}", color="white", ha="center", va="center")
        axes.set_title(checkpoint, loc="left", fontsize="medium")
        axes.set_yticks(range(len(grid.shares)))
        axes.set_xticks([])
    names = [HEADERS[name].replace(", ", "\n").replace(" error ", " error\n") for name in probes]
    panels[-1].set_xticks(range(len(probes)), names)
    figure.supylabel("layer (0: what the first one hears)")
    _save(figure, path)


def _axes(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """A figure of one panel, framed on the left and below."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=150)
