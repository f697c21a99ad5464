"""What half-precision training needs of an optimizer to go on with the same numbers."""

from typing import Any, Dict, Optional

from fairseq.optim import FairseqOptimizer
from omegaconf import OmegaConf


class SavedCopies(FairseqOptimizer):
    """Saves the float32 copies of a half-precision model.

    fairseq's checkpoints hold the half-precision weights only, from which a run would go on with
    other numbers; the copies travel with the optimizer's state.
    """

    def __init__(self, cfg: Any, *params: Any) -> None:
        super().__init__(cfg, *params)
        self.root = cfg._get_root() if OmegaConf.is_config(cfg) else None
        common = self.root.common if self.root is not None else None
        self._has_copies = common is not None and bool(common.fp16 or common.bf16)

    def state_dict(self) -> Dict[str, Any]:
        state = super().state_dict()
        if self._has_copies:
            state["float32_params"] = [p.detach() for p in self.params]
        return state

    def load_state_dict(
        self, state_dict: Dict[str, Any], optimizer_overrides: Optional[Dict[str, Any]] = None
    ) -> None:
        super().load_state_dict(state_dict, optimizer_overrides)
        if self._has_copies and "float32_params" in state_dict:
            for p, saved in zip(self.params, state_dict["float32_params"], strict=True):
                p.data.copy_(saved)
