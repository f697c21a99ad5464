"""ScaledAdam: Adam whose updates are proportional to the size of what they change.

"Zipformer: a faster and better encoder for automatic speech recognition" (Yao et al., ICLR 2024),
section on optimizers, with the constants of k2SSL's recipe. For a tensor p with gradient g, at
update t = 1, 2, ..., rms the root mean square of p (read again every 4th update):

    g <- c g                                           one c <= 1 for all tensors of the group
    v <- b2 v + (1 - b2) g^2
    d  = -lr max(rms, 1e-5) g / (sqrt(v / (1 - b2^t)) + eps)   without 1 - b2^t from 0.99 on
    d += p s                                           every 4th update
    m <- b1 m + (1 - b1) d
    p <- p + m

s is Adam's step for a factor that stretches the whole tensor: its gradient is sum(p g), its rate
0.1 lr; it is at most 0.1, does nothing below an rms of 1e-5, and never lifts it above 3. Tensors of
one element take plain Adam steps of rate 0.1 lr instead and end each within +-10. Updates are
relative: a rate of 0.045 changes each tensor by a few per cent of its size, whatever that is. A
gradient times a constant gives the same updates, up to eps.

c keeps the norm of all g, each weighted with its rms, below twice the median of the last hundred
norms. It stays on the device: nothing is read back, but once in a hundred updates (and at the
10th, 20th and 40th) to see that the median is finite.

Differs: a gradient that is not finite counts as zero (there, NaN passes); a missing one, too. For
each tensor t counts from its first gradient: what was frozen would leap otherwise when it thaws.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from fairseq_budget.errors import BudgetError

SCALAR_LR_SCALE = 0.1  # rate of scalars, and of the size of tensors, in units of lr
SIZE_PERIOD = 4  # updates between two changes of a tensor's size
MIN_RMS, MAX_RMS = 1e-5, 3.0
MAX_SIZE_STEP = 0.1
MAX_SCALAR = 10.0
MAX_CORRECTION = 0.99  # of v; from there on (update 228 at b2 = 0.98) it is left out
CLIPPING_PERIOD = 100  # norms remembered, and updates between two thresholds
EARLY_THRESHOLDS = (10, 20, 40)  # the first updates that set one, doubled, for norms fall fast then
MAX_BATCH_ELEMENTS = 2**20  # keeps a GPU busy and fits a CPU's cache; bounds the working space, too


class ScaledAdam(torch.optim.Optimizer):
    """See the module. Tensors with equally many elements are updated together, as one matrix.

    clipping_scale: the threshold in medians; None never clips. eps is added to the root of v, so
    it belongs to the scale of the gradients: 1e-8 to those of a loss that is summed over frames.
    Groups may have an ``lr_scale`` of their own; each is clipped by itself.

    State: 8 bytes a parameter and 28 a tensor (``num_state_bytes``), under the tensor it belongs
    to, so it does not depend on how tensors are batched. An update needs three copies of one batch
    besides. A restored optimizer goes on with the very same numbers.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.045,
        *,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        clipping_scale: float | None = 2.0,
        lr_scale: float = 1.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "lr_scale": lr_scale}
        super().__init__(params, {**defaults, "clipping_scale": clipping_scale, "num_updates": 0})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            if p.dtype not in (torch.float32, torch.float64):
                raise BudgetError(
                    f"ScaledAdam got parameters of {p.dtype}, whose relative precision is coarser "
                    "than an update: expected torch.float32; keep float32 copies of them"
                )
        like = group["params"][0].detach()
        group.setdefault("norms", like.new_zeros(CLIPPING_PERIOD))
        group.setdefault("threshold", like.new_tensor(math.inf))
        self._batches: list[list[_Batch]] | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # after loading and copying: the batches hold the old state
        self._batches = None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters; FloatingPointError if most gradients were not finite."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._batches is None:
            self._batches = [self._batches_of(group) for group in self.param_groups]
        for group, batches in zip(self.param_groups, self._batches, strict=True):
            factor = _clipping_factor(group, batches)
            for batch in batches:
                batch.update(group, factor)
            group["num_updates"] += 1
        return loss

    def num_state_bytes(self) -> int:
        """Memory of the state; 0 before the first update."""
        tensors = [tensor for state in self.state.values() for tensor in state.values()]
        tensors += [group["norms"] for group in self.param_groups if self.state]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def _batches_of(self, group: dict[str, Any]) -> list[_Batch]:
        by_size = defaultdict(list)
        for p in group["params"]:
            by_size[p.numel(), p.dtype, p.device].append(p)
        num_rows = {key: max(1, MAX_BATCH_ELEMENTS // key[0]) for key in by_size}
        return [
            _Batch(params[i : i + num_rows[key]], self.state)
            for key, params in by_size.items()
            for i in range(0, len(params), num_rows[key])
        ]


class _Batch:
    """N tensors of K elements each, as the rows of matrices.

    Holds the state of all of them, (N, K) or (N, 1); the optimizer's state of one tensor becomes a
    view of its row.
    """

    def __init__(self, params: list[Tensor], states: dict[Tensor, dict[str, Tensor]]) -> None:
        self.params = params
        self.is_scalar = params[0].numel() == 1
        of_params = [states[p] for p in params]
        for p, state in zip(params, of_params, strict=True):
            if not state:
                state.update(_initial_state(p))
        self.state = {
            name: torch.stack([state[name].flatten() for state in of_params])
            for name in of_params[0]
        }
        for i, state in enumerate(of_params):
            state.update({name: self.state[name][i].view_as(state[name]) for name in state})
        self.deltas = [state["delta"] for state in of_params]

    def squared_norm(self) -> Tensor:
        """Sum of squares of the gradients, each times the rms of its tensor."""
        self.norms = torch.stack(torch._foreach_norm([_gradient(p) for p in self.params]))
        weights = SCALAR_LR_SCALE if self.is_scalar else self.state["param_rms"][:, 0]
        return (self.norms * weights).square().sum()

    def update(self, group: dict[str, Any], factor: Tensor) -> None:
        """factor: 0-dim, what gradients are multiplied with; 0 where they are not finite."""
        beta1, beta2 = group["betas"]
        # in one piece: of several, glibc returns some to the system after every batch
        grad, *space = self.state["delta"].new_empty(3, *self.state["delta"].shape)  # (N, K)
        torch.stack([_gradient(p).flatten() for p in self.params], out=grad)
        grad.mul_(factor).nan_to_num_(0, 0, 0)  # inf * 0, where the norm is not finite
        num_updates = self.state["num_updates"]
        num_updates.add_((num_updates > 0) | (self.norms * factor > 0).unsqueeze(1))
        self.state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        self.state["delta"].mul_(beta1)
        advance = self._advance_scalars if self.is_scalar else self._advance_tensors
        advance(grad, group, space)
        torch._foreach_add_(self.params, self.deltas)
        if self.is_scalar:
            torch._foreach_clamp_min_(self.params, -MAX_SCALAR)
            torch._foreach_clamp_max_(self.params, MAX_SCALAR)

    def _advance_scalars(self, grad: Tensor, group: dict[str, Any], space: list[Tensor]) -> None:
        lr = group["lr"] * group["lr_scale"] * SCALAR_LR_SCALE
        root = self._normalize(grad, group, space[0])
        self.state["delta"].addcmul_(grad, root, value=-lr * (1 - group["betas"][0]))

    def _advance_tensors(self, grad: Tensor, group: dict[str, Any], space: list[Tensor]) -> None:
        lr, t = group["lr"] * group["lr_scale"], group["num_updates"]
        rate, rms = 1 - group["betas"][0], self.state["param_rms"]
        rows, other = space
        torch.stack([p.flatten() for p in self.params], out=rows)
        self.state["scale_grads"][:, t % SIZE_PERIOD] = torch.mul(rows, grad, out=other).sum(1)
        if t % SIZE_PERIOD == SIZE_PERIOD - 1:
            rms.copy_(_rms(rows))
            self.state["delta"].addcmul_(rows, self._size_step(group), value=rate)
        root = self._normalize(grad, group, other)
        self.state["delta"].addcmul_(grad, rms.clamp(min=MIN_RMS) * root, value=-lr * rate)

    def _normalize(self, grad: Tensor, group: dict[str, Any], space: Tensor) -> Tensor:
        """Divide grad by the root of v; returns by what it is still to be multiplied, (N, 1)."""
        correction = self._correction(group["betas"][1])
        root = correction.sqrt().masked_fill_(correction >= MAX_CORRECTION, 1)
        grad.div_(torch.sqrt(self.state["exp_avg_sq"], out=space).add_(group["eps"] * root))
        return root

    def _size_step(self, group: dict[str, Any]) -> Tensor:
        """By how much of itself each tensor should grow or shrink, (N, 1)."""
        grads, rms = self.state["scale_grads"], self.state["param_rms"]
        beta = group["betas"][1] ** SIZE_PERIOD
        variance = self.state["scale_exp_avg_sq"]
        variance.mul_(beta).add_(grads.square().mean(1, keepdim=True), alpha=1 - beta)
        lr = group["lr"] * group["lr_scale"] * SCALAR_LR_SCALE
        step = grads.sum(1, keepdim=True) / (variance.sqrt() + group["eps"])
        root = self._correction(beta, period=SIZE_PERIOD).sqrt()
        step = step.mul_(-lr * root).masked_fill_(rms < MIN_RMS, 0)
        return torch.minimum(step.clamp_(-MAX_SIZE_STEP, MAX_SIZE_STEP), MAX_RMS / rms - 1)

    def _correction(self, beta: float, period: int = 1) -> Tensor:
        """1 - beta^t, (N, 1), with t periods begun since a tensor's first gradient."""
        periods = (self.state["num_updates"] / period).ceil().clamp_(min=1)
        return -torch.expm1(periods * math.log(beta))


def _initial_state(p: Tensor) -> dict[str, Tensor]:
    state = {name: torch.zeros_like(p) for name in ("exp_avg_sq", "delta")}
    state["num_updates"] = p.detach().new_zeros(())
    if p.numel() > 1:
        state["param_rms"] = _rms(p.detach().flatten())[0]
        state["scale_exp_avg_sq"] = torch.zeros_like(state["param_rms"])
        state["scale_grads"] = p.detach().new_zeros(SIZE_PERIOD)
    return state


def _rms(rows: Tensor) -> Tensor:
    return rows.square().mean(-1, keepdim=True).sqrt()


def _gradient(p: Tensor) -> Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad


def _clipping_factor(group: dict[str, Any], batches: list[_Batch]) -> Tensor:
    """0-dim, from 0 to 1; 0 where the norm is not finite."""
    norm = torch.stack([batch.squared_norm() for batch in batches]).sum().sqrt()
    group["norms"] = norms = group["norms"].to(norm.device)  # no copy, but after loading
    group["threshold"] = threshold = group["threshold"].to(norm.device)
    t = group["num_updates"]
    if group["clipping_scale"] is not None and t > 0:
        norms[t % CLIPPING_PERIOD] = norm
        if t % CLIPPING_PERIOD == 0 or t in EARLY_THRESHOLDS:
            early = t in EARLY_THRESHOLDS
            known = norms.sort().values[-t:] if early else norms.sort().values
            median = known[len(known) // 4 * 2]
            _require_finite(median, len(known))
            threshold.copy_(median * group["clipping_scale"] * (2 if early else 1))
    factor = (threshold / (norm + 1e-20)).clamp_(max=1)
    return torch.where(norm.isfinite(), factor, 0)


def _require_finite(median: Tensor, num_norms: int) -> None:
    if not math.isfinite(value := median.item()):
        raise FloatingPointError(
            f"the median of the last {num_norms} gradient norms is {value}: most updates were not "
            "finite; lower the learning rate, or train in bfloat16 or float32 rather than float16"
        )
