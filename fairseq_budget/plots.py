"""Figures; the only import of matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairseq_budget.curve import Run
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.reconstruct import Reconstruction
from fairseq_budget.training_log import TrainingLog

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise BudgetError('figures need matplotlib: pip install "fairseq_budget[report]"') from error

BLUE, ORANGE, GREY = "#1f5fa8", "#d9730d", "#9a9a9a"


def plot_loss(log: TrainingLog, path: Path) -> None:
    """Training and validation loss against updates."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for records, label, style in (
        (log.train, "training", {"color": BLUE}),
        (log.valid, "validation", {"color": ORANGE, "marker": "o", "markersize": 4}),
    ):
        updates, losses = [r["num_updates"] for r in records], [r["loss"] for r in records]
        axes.plot(updates, losses, label=label, **style)
    axes.set(xlabel="update", ylabel="loss", title="Masked reconstruction")
    axes.spines[["top", "right"]].set_visible(False)
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


def _save(figure: Figure, path: Path) -> None:
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=150)
