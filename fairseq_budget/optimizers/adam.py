"""``optimizer._name=adam``: fairseq's AdamW, in one fused kernel for all of its tensors.

Under fairseq's name, config and format of state: presets and checkpoints know no other. fairseq's
own goes through the tensors one by one, in eight passes over each, where it has no CUDA extension.
"""

from collections import defaultdict
from typing import Any, Dict, Iterable, List, cast

import torch
from fairseq.optim import OPTIMIZER_REGISTRY, adam
from torch import Tensor
from torch.optim.adamw import adamw

from fairseq_budget.optimizers._copies import SavedCopies


class FusedAdam(adam.Adam):
    """fairseq's Adam to rounding, on float32 parameters; what is not float32 is left to it."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        if any(
            p.dtype is not torch.float32 for group in self.param_groups for p in group["params"]
        ):
            return super().step(closure)
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for num_steps, params in self._by_steps(group["params"]).items():
                self._update(group, params, num_steps)
        return loss

    def _by_steps(self, params: Iterable[Tensor]) -> Dict[int, List[Tensor]]:
        """Parameters with a gradient by their steps so far: a skipped layer's take fewer."""
        found = defaultdict(list)
        for p in params:
            if p.grad is not None:
                state = self.state[p]
                if not state:
                    state.update(
                        step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p)
                    )
                found[int(state["step"])].append(p)
                state["step"] += 1
        return found

    def _update(self, group: Dict[str, Any], params: List[Tensor], num_steps: int) -> None:
        states = [self.state[p] for p in params]
        beta1, beta2 = group["betas"]
        # filled on the device: a number that is copied to it waits for all before it
        steps = torch.full((len(params),), float(num_steps), device=params[0].device)
        adamw(
            params,
            [cast(Tensor, p.grad) for p in params],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            list(steps.unbind()),
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            # torch adds it to the corrected root, fairseq to the root as it is
            eps=group["eps"] / (1 - beta2 ** (num_steps + 1)) ** 0.5,
            maximize=False,
        )


class FairseqAdam(SavedCopies, adam.FairseqAdam):
    """Builds it; where fairseq finds a fused one of its own (apex), or is told to, that is used.

    Of fairseq's name: its trainer goes on from no optimizer of a class of another one.
    """

    def __init__(self, cfg: Any, params: Iterable[Tensor]) -> None:
        super().__init__(cfg, params)
        if type(self.optimizer) is adam.Adam and not cfg.use_old_adam:
            self._optimizer = FusedAdam(self.param_groups, **self.optimizer_config)


OPTIMIZER_REGISTRY["adam"] = FairseqAdam
