"""TERA's loss: absolute error of reconstructed acoustic features."""

from __future__ import annotations

from torch import Tensor

from fairseq_budget.losses import LossTerm


def l1_reconstruction(prediction: Tensor, target: Tensor) -> LossTerm:
    """Sum of absolute errors in float32, and the number of elements.

    prediction, target (N, F): the N masked frames of a batch. sum / count is the mean L1 of
    "Efficient Training ... on a Compute Budget", section 3.1. No frames give a zero sum.
    """
    error = (prediction.float() - target.float()).abs()
    return LossTerm(error.sum(), error.numel())
