"""Prediction heads, one per kind of target."""

from __future__ import annotations

from torch import Tensor, nn


class ReconstructionHead(nn.Module):
    """One linear layer from hidden states to acoustic features (TERA in the budget study)."""

    def __init__(self, dim: int, target_dim: int) -> None:
        super().__init__()
        self.final_proj = nn.Linear(dim, target_dim)

    def forward(self, x: Tensor) -> Tensor:  # (..., D) -> (..., F)
        return self.final_proj(x)
