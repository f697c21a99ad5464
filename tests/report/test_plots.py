"""Figures say what their axes are."""

import pytest
import torch

from fairseq_budget.report.reconstruction import Reconstruction
from fairseq_budget.report.training_log import TrainingLog


def test_both_axes_of_a_reconstruction_are_labelled(tmp_path, monkeypatch):
    plots = pytest.importorskip("fairseq_budget.report.plots")
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    features = torch.rand(20, 80)
    mask = torch.arange(20) % 3 == 0
    plots.plot_reconstruction(Reconstruction(features, features, mask, features), tmp_path / "x")
    assert drawn[0].get_supylabel() == "mel bands, low to high"
    assert drawn[0].axes[-1].get_xlabel() == "seconds"
    assert all(axes.get_ylabel() for axes in drawn[0].axes)


FORECAST_LOG = TrainingLog(
    [{"num_updates": 10.0, "loss": 3.0}],
    [
        {"num_updates": 10.0, "loss": 2.5, "reconstruction": 2.4},
        {
            "num_updates": 20.0, "loss": 2.2, "reconstruction": 2.1, "forecast_loss": 2.0,
            "forecast_low": 1.9, "forecast_high": 2.15,
        },
    ],
)  # fmt: skip


def test_a_forecast_is_drawn_beside_the_loss_without_penalties(tmp_path, monkeypatch):
    plots = pytest.importorskip("fairseq_budget.report.plots")
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure.axes[0]))
    plots.plot_loss(FORECAST_LOG, tmp_path / "x")
    lines = {line.get_label(): line.get_xydata().tolist() for line in drawn[0].lines}
    assert lines["validation, no penalties"] == [[20.0, 2.1]]
    assert lines["forecast"] == [[20.0, 2.0]]
    plots.plot_loss(TrainingLog(FORECAST_LOG.train, FORECAST_LOG.valid[:1]), tmp_path / "x")
    assert [line.get_label() for line in drawn[1].lines] == ["training", "validation"]


def test_a_forecast_in_a_browser_has_a_band_over_updates_and_flops():
    interactive = pytest.importorskip("fairseq_budget.report.interactive")
    from fairseq_budget.report.trained import Trained

    figure = interactive.losses([Trained("a", FORECAST_LOG)])
    names = [trace.name for trace in figure.data]
    assert names[2:4] == ["a, validation without penalties", "a, forecast"]
    assert list(figure.data[4].y) == [2.15, 1.9]
