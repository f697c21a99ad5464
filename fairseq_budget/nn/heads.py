"""Prediction heads, one per kind of target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError


class ReconstructionHead(nn.Module):
    """One linear layer from hidden states to acoustic features (TERA in the budget study)."""

    def __init__(self, dim: int, target_dim: int) -> None:
        super().__init__()
        self.final_proj = nn.Linear(dim, target_dim)

    def forward(self, x: Tensor) -> Tensor:  # (..., D) -> (..., F)
        return self.final_proj(x)


def classes_of(num_classes: Any) -> list[int]:
    """Classes of each label set, given what a config says: a number, or a list of them."""
    return [num_classes] if isinstance(num_classes, int) else list(num_classes)


class ClusterHead(nn.Module):
    """Logits over clusters (HuBERT), in float32.

    kind 'cosine': similarity of a projection to label embeddings, HuBERT's eq. 3 ("HuBERT",
    section II-B). kind 'linear': one linear layer, as in k2SSL and MelHuBERT. Both are divided by
    ``temperature``; k2SSL's recipe uses 0.1 with the linear head too, its eq. 2 has none (1.0).
    Parameter names are fairseq's. Each label set has a projection and embeddings of its own, one
    after the other in the same parameters (fairseq's ``untie_final_proj``).
    """

    def __init__(
        self,
        dim: int,
        final_dim: int,
        num_classes: Sequence[int],
        *,
        kind: str,
        temperature: float,
    ) -> None:
        super().__init__()
        if kind not in ("cosine", "linear"):
            raise BudgetError(f"model.head={kind!r}: expected 'cosine' or 'linear'")
        self.temperature, self.num_classes = temperature, list(num_classes)
        self.label_embs_concat, total = None, sum(self.num_classes)
        if kind == "cosine":
            self.label_embs_concat = nn.Parameter(torch.empty(total, final_dim).uniform_())
            total = final_dim * len(self.num_classes)
        self.final_proj = nn.Linear(dim, total)

    def forward(self, x: Tensor) -> list[Tensor]:  # (N, D) -> (N, V) for each label set
        x = self.final_proj(x).float()
        if self.label_embs_concat is None:
            return list((x / self.temperature).split(self.num_classes, dim=1))
        embeddings = F.normalize(self.label_embs_concat.float(), dim=1).split(self.num_classes)
        projected = x.chunk(len(embeddings), dim=1)
        return [
            F.normalize(own, dim=1) @ classes.T / self.temperature
            for own, classes in zip(projected, embeddings, strict=True)
        ]


class DistillationHead(nn.Module):
    """Predicts N layers of a teacher: one hidden layer, then a linear map of its own for each.

    DistilHuBERT's heads in the form without a task embedding ("expand-last"): 3,543,552 parameters
    for three layers of 768. They go when training ends.
    """

    def __init__(self, dim: int, target_dim: int, num_layers: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, num_layers * dim)
        self.weight = nn.Parameter(torch.empty(num_layers, dim, target_dim))
        self.bias = nn.Parameter(torch.empty(num_layers, target_dim))
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -(dim**-0.5), dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, D) -> (B, T, N, D')
        x = F.gelu(self.hidden(x)).unflatten(2, (len(self.weight), -1))
        return torch.einsum("btnd,nde->btne", x, self.weight) + self.bias


def greedy_path(logits: Tensor, padding_mask: Tensor, blank: int = 0) -> Tensor:
    """What CTC says, greedily: the best class where it begins, -1 at repetitions and blanks.

    logits (B, T, V), padding_mask (B, T), True = padding, where nothing is said -> (B, T) int64.
    """
    best = logits.argmax(2)
    repeated = F.pad(best[:, 1:] == best[:, :-1], (1, 0))
    return best.masked_fill(repeated | (best == blank) | padding_mask, -1)
