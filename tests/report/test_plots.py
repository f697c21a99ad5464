"""Figures say what their axes are."""

import pytest
import torch

from fairseq_budget.report.reconstruction import Reconstruction


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
