"""DistilHuBERT's loss: L1 and cosine distance to the states of a teacher's layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from fairseq_budget.losses import LossTerm


@dataclass(frozen=True)
class LayerDistances:
    """Sums over ``count`` frames, each (N,): mean absolute errors, and -log sigmoid of cosines."""

    l1: Tensor
    cosine: Tensor
    count: Tensor | int

    def loss(self, cosine_weight: float) -> LossTerm:
        """The objective, and its number of (frame, layer) pairs."""
        total = self.l1 + cosine_weight * self.cosine
        return LossTerm(total.sum(), self.count * len(total))


def layer_distances(
    prediction: Tensor, target: Tensor, padding_mask: Tensor | None
) -> LayerDistances:
    """Distances of prediction and target, (B, T, N, D), in float32; padding adds nothing.

    "DistilHuBERT", eq. 1, with the signs of its code: mean_D |p - t| and -log sigmoid(cos(p, t)).
    Both are means over valid frames, so a shorter sequence changes no scale.
    """
    prediction, target = prediction.float(), target.float()
    l1 = (prediction - target).abs().mean(3)  # (B, T, N)
    cosine = -F.logsigmoid(F.cosine_similarity(prediction, target, dim=3))
    count: Tensor | int = l1.shape[0] * l1.shape[1]
    if padding_mask is not None:
        l1, cosine = (x.masked_fill(padding_mask.unsqueeze(2), 0) for x in (l1, cosine))
        count = (~padding_mask).sum()
    return LayerDistances(l1.sum((0, 1)), cosine.sum((0, 1)), count)
