"""What a linear classifier finds in vectors: multinomial logistic regression, ever the same.

    minimise  sum_i -log softmax(W x_i + b)[y_i] + |W|^2 / 2

by full-batch L-BFGS from zero, on features standardised over what is learnt from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MAX_ITERATIONS = 100
MIN_STD = 1e-5  # a constant feature becomes 0


def standardized(x: Tensor, like: Tensor) -> Tensor:
    """x (N, D) with the mean and the standard deviation of `like` (M, D) taken out."""
    return (x - like.mean(0)) / like.std(0, correction=0).clamp(min=MIN_STD)


def fit_logistic(x: Tensor, y: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Features x (N, D) and classes y (N,) int64 -> weights (V, D) and biases (V,)."""
    weight = x.new_zeros(num_classes, x.shape[1], requires_grad=True)
    bias = x.new_zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=MAX_ITERATIONS, line_search_fn="strong_wolfe",
        tolerance_grad=1e-6, tolerance_change=1e-8,
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        penalty = weight.square().sum() / (2 * len(x))
        loss = nn.functional.cross_entropy(x @ weight.T + bias, y) + penalty
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return weight.detach(), bias.detach()


def probe_accuracy(x: Tensor, y: Tensor, is_test: Tensor) -> float:
    """The share of test items that a classifier of the others names rightly.

    x (N, D) float; y (N,) int64 classes from 0; is_test (N,) bool.
    """
    learnt = x[~is_test]
    weight, bias = fit_logistic(standardized(learnt, learnt), y[~is_test], int(y.max()) + 1)
    named = (standardized(x[is_test], learnt) @ weight.T + bias).argmax(1)
    return (named == y[is_test]).double().mean().item()


def chance_accuracy(y: Tensor, is_test: Tensor) -> float:
    """The same of always naming the class that is commonest in what is learnt from."""
    return (y[is_test] == y[~is_test].bincount().argmax()).double().mean().item()
