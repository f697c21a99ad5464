"""``optimizer._name=budget_scaled_adam``: ScaledAdam under fairseq's trainer.

float32, bfloat16 and float16 work. In the latter two fairseq trains a half-precision model and
keeps float32 copies of its parameters, tensor by tensor if it is told to; what would break the
tensors up, or scale gradients behind the optimizer's back, is refused (``check_settings``).
"""

import logging
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Optional

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import register_optimizer
from omegaconf import II, OmegaConf

from fairseq_budget.errors import BudgetError
from fairseq_budget.optim.scaled_adam import ScaledAdam
from fairseq_budget.optimizers._copies import SavedCopies

logger = logging.getLogger(__name__)

SETTINGS = {
    "optimization.clip_norm": ((0,), "ScaledAdam clips by the median of its own norms"),
    "optimization.use_bmuf": ((False,), "BMUF averages the state of Adam only"),
    "common.amp": ((False,), "fairseq's AMP unscales gradients twice; common.bf16=true works"),
    "common.memory_efficient_fp16": ((False,), "the optimizer needs float32 parameters"),
    "common.memory_efficient_bf16": ((False,), "the optimizer needs float32 parameters"),
    "distributed_training.zero_sharding": (("none",), "sharding cuts tensors that have one scale"),
    "distributed_training.ddp_backend": (
        ("legacy_ddp", "pytorch_ddp", "c10d", "no_c10d"),
        "other back-ends cut or average what must stay whole",
    ),
}
"""Every setting that matters: what it may be, and why."""


def check_settings(root: Any) -> None:
    """Refuse what cannot work with ScaledAdam; ``root`` is fairseq's whole config."""
    settings = dict(SETTINGS)
    if root.common.fp16:
        why = "otherwise fairseq makes one vector of all tensors, and the scale of each is lost"
        settings["common.fp16_no_flatten_grads"] = ((True,), why)
    for key, (allowed, why) in settings.items():
        value = OmegaConf.select(root, key)
        if value not in allowed:
            cure = str(allowed[0]).lower()
            raise BudgetError(
                f"{key}={value} does not go with budget_scaled_adam: {why}; set {key}={cure}"
            )


@dataclass
class BudgetScaledAdamConfig(FairseqDataclass):
    """Fields of ``optimizer._name=budget_scaled_adam``."""

    betas: List[float] = field(
        default_factory=lambda: [0.9, 0.98],
        metadata={"help": "decay of the mean of the updates, and of the squared gradients"},
    )
    eps: float = field(
        default=1e-12,
        metadata={
            "help": "added to the root of the squared gradients. fairseq divides gradients by the "
            "sample size, so this is the published 1e-8 over some 10,000 frames"
        },
    )
    clipping_scale: Optional[float] = field(
        default=2.0, metadata={"help": "clip at so many median gradient norms; null: never"}
    )
    lr: List[float] = field(default=II("optimization.lr"))


@register_optimizer("budget_scaled_adam", dataclass=BudgetScaledAdamConfig)
class BudgetScaledAdam(SavedCopies):
    """Builds ScaledAdam and logs its memory."""

    def __init__(self, cfg: BudgetScaledAdamConfig, params: Iterable[torch.Tensor]) -> None:
        super().__init__(cfg)
        if self.root is not None:
            check_settings(self.root)
        self._optimizer = ScaledAdam(params, **self.optimizer_config)
        self._is_reported = False

    @property
    def optimizer_config(self) -> Dict[str, Any]:
        return {
            "lr": self.cfg.lr[0],
            "betas": tuple(self.cfg.betas),
            "eps": self.cfg.eps,
            "clipping_scale": self.cfg.clipping_scale,
        }

    def step(self, closure: Any = None, scale: float = 1.0, groups: Any = None) -> None:
        super().step(closure, scale, groups)
        if not self._is_reported:
            self._is_reported = True
            megabytes = self._optimizer.num_state_bytes() / 1e6
            num_tensors = sum(1 for _ in self.params)
            logger.info(f"ScaledAdam: {num_tensors} tensors, {megabytes:.1f} MB of state")
