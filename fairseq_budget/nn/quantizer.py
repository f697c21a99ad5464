"""Product quantization with a Gumbel softmax (wav2vec 2.0, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError


@dataclass
class Quantized:
    """Quantized vectors (N, D), chosen codes (N, G), and how evenly codes are used.

    ``code_perplexity`` of the hard choices, ``prob_perplexity`` of the mean soft ones (with
    gradient): both summed over groups, at most ``num_codes`` = G x V.
    """

    x: Tensor
    codes: Tensor
    code_perplexity: Tensor
    prob_perplexity: Tensor
    num_codes: int

    def diversity_loss(self) -> Tensor:
        """Share of the codebook that is not used: (GV - perplexity) / GV (eq. 4 there)."""
        return (self.num_codes - self.prob_perplexity) / self.num_codes


class GumbelQuantizer(nn.Module):
    """``groups`` codebooks of ``num_vars`` entries, their choices concatenated.

    Parameter names and initialisation are fairseq's. In training choices are sampled at a
    temperature and hard, with the soft choice's gradient; in eval they are the arg max.
    """

    def __init__(self, dim: int, *, num_vars: int, groups: int, vq_dim: int) -> None:
        super().__init__()
        if vq_dim % groups:
            raise BudgetError(f"latent dimension {vq_dim} does not divide into {groups} groups")
        self.num_vars, self.groups = num_vars, groups
        self.vars = nn.Parameter(torch.empty(1, groups * num_vars, vq_dim // groups).uniform_())
        self.weight_proj = nn.Linear(dim, groups * num_vars)
        nn.init.normal_(self.weight_proj.weight)
        nn.init.zeros_(self.weight_proj.bias)

    def forward(
        self, x: Tensor, *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Quantized:
        """x (N, C) -> Quantized; ``generator`` (on x's device) draws the Gumbel noise."""
        logits = self.weight_proj(x).float().unflatten(1, (self.groups, self.num_vars))
        hard = _one_hot(logits)
        soft = logits.softmax(2)
        if self.training:
            uniform = torch.rand(logits.shape, device=logits.device, generator=generator)
            gumbel = -(-uniform.clamp(min=1e-20).log()).clamp(min=1e-20).log()
            sampled = ((logits + gumbel) / temperature).softmax(2)
            choice = _one_hot(sampled)
            weights = choice + (sampled - sampled.detach())  # hard forward, soft backward
        else:
            choice = weights = hard
        entries = self.vars.unflatten(1, (self.groups, self.num_vars))[0]  # (G, V, D/G)
        out = torch.einsum("ngv,gvd->ngd", weights.to(entries.dtype), entries).flatten(1)
        return Quantized(
            out,
            choice.argmax(2),
            _perplexity(_mean(hard)),
            _perplexity(_mean(soft)),
            self.groups * self.num_vars,
        )


def _one_hot(x: Tensor) -> Tensor:
    return torch.zeros_like(x).scatter_(2, x.detach().argmax(2, keepdim=True), 1.0)


def _mean(x: Tensor) -> Tensor:
    """Over frames; 0 of none."""
    return x.mean(0) if len(x) else x.sum(0)


def _perplexity(probabilities: Tensor) -> Tensor:
    """(G, V) -> the sum over groups of exp(entropy)."""
    entropy = -(probabilities * (probabilities + 1e-7).log()).sum(1)
    return entropy.exp().sum()
