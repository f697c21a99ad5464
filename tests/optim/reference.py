"""ScaledAdam and its clipping, one tensor at a time, as published; for small tests only."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def gradient(p: Tensor) -> Tensor:
    assert p.grad is not None
    return p.grad


class Reference:
    """Nothing is batched, nothing is clever: every line is a line of the equations."""

    def __init__(
        self,
        params: list[Tensor],
        lr: float = 0.045,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        clipping_scale: float | None = 2.0,
    ) -> None:
        self.params, self.lr, self.betas, self.eps = params, lr, betas, eps
        self.clipping_scale = clipping_scale
        self.t = 0
        self.state: list[dict[str, Any]] = [
            {
                "v": torch.zeros_like(p),
                "delta": torch.zeros_like(p),
                "rms": rms(p),
                "scale_v": 0.0,
                "scale_grads": [0.0] * 4,
            }
            for p in params
        ]
        self.norms = [0.0] * 100
        self.threshold = math.inf

    @torch.no_grad()
    def step(self) -> None:
        factor = self.clip()
        for p, state in zip(self.params, self.state, strict=True):
            grad = gradient(p) * factor if factor > 0 else torch.zeros_like(p)
            (self.scalar if p.numel() == 1 else self.tensor)(p, grad, state)
        self.t += 1

    def clip(self) -> float:
        total = 0.0
        for p, state in zip(self.params, self.state, strict=True):
            weight = 0.1 if p.numel() == 1 else state["rms"]
            total += (gradient(p) * weight).pow(2).sum().item()
        norm = math.sqrt(total) if math.isfinite(total) else total
        if self.clipping_scale is not None and self.t > 0:
            self.norms[self.t % 100] = norm
            if self.t % 100 == 0:
                self.threshold = self.clipping_scale * sorted(self.norms)[50]
            elif self.t in (10, 20, 40):
                known = sorted(self.norms)[-self.t :]
                self.threshold = 2 * self.clipping_scale * known[self.t // 4 * 2]
        return min(1.0, self.threshold / (norm + 1e-20)) if math.isfinite(norm) else 0.0

    def tensor(self, p: Tensor, grad: Tensor, state: dict[str, Any]) -> None:
        beta1, _ = self.betas
        state["delta"] *= beta1
        state["scale_grads"][self.t % 4] = (p * grad).sum().item()
        if self.t % 4 == 3:
            state["rms"] = rms(p)
            state["delta"] += p * self.size_step(state) * (1 - beta1)
        step = -self.lr * self.direction(grad, state)
        state["delta"] += (1 - beta1) * max(state["rms"], 1e-5) * step
        p += state["delta"]

    def size_step(self, state: dict[str, Any]) -> float:
        beta = self.betas[1] ** 4
        grads = state["scale_grads"]
        state["scale_v"] = beta * state["scale_v"] + (1 - beta) * sum(s * s for s in grads) / 4
        correction = 1 - beta ** ((self.t + 1) // 4)
        step = -0.1 * self.lr * math.sqrt(correction) * sum(grads)
        step /= math.sqrt(state["scale_v"]) + self.eps
        if state["rms"] < 1e-5:
            return 0.0
        return min(max(-0.1, min(step, 0.1)), 3 / state["rms"] - 1)

    def scalar(self, p: Tensor, grad: Tensor, state: dict[str, Any]) -> None:
        beta1, _ = self.betas
        step = -0.1 * self.lr * self.direction(grad, state)
        state["delta"] = beta1 * state["delta"] + (1 - beta1) * step
        p += state["delta"]
        p.clamp_(-10, 10)

    def direction(self, grad: Tensor, state: dict[str, Any]) -> Tensor:
        beta2 = self.betas[1]
        state["v"] = beta2 * state["v"] + (1 - beta2) * grad**2
        correction = 1 - beta2 ** (self.t + 1)
        v = state["v"] / correction if correction < 0.99 else state["v"]
        return grad / (v.sqrt() + self.eps)


def rms(p: Tensor) -> float:
    return p.pow(2).mean().sqrt().item()
